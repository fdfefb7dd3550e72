"""`pybuild build --call=METHOD`: an answer about the Dockerfile in place of a build.

In: the value of `--call`, `check` for `--check`, and what is asked for. Out: the answer on standard
output. Methods are those of docker: check, outline, targets. The value may go
on with `,format=json` and `,ignorestatus=true`.
"""

from __future__ import annotations

from buildkit.cli.arguments import Namespace
from buildkit.errors import UsageError
from buildkit.request import BuildRequest
from grammar.nearest import did_you_mean
from runtime.values import NamedTuple

METHODS = ("check", "outline", "targets")
_ALIASES = {"lint": "check"}


class Call(NamedTuple):
    """`status`: whether findings show in the exit status."""

    method: str
    format: str
    status: bool


def parse_call(text: str, form: str | None) -> Call:
    """Return what `--call` and `--format` ask for. Raises UsageError."""
    method, *settings = text.split(",")
    method = _ALIASES.get(method, method)
    if method not in METHODS:
        near = did_you_mean(method, METHODS)
        raise UsageError(
            f"invalid --call {method!r}{near}", hint=f"there are: {', '.join(METHODS)}"
        )
    fields = {"format": "", "ignorestatus": ""}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in fields:
            raise UsageError(f"invalid --call {text!r}", hint="as in --call=check,format=json")
        fields[key] = value
    chosen = form or fields["format"] or "text"
    if chosen not in ("text", "json", *("sarif",) * (method == "check")):
        raise UsageError(f"--call={method} has no format {chosen!r}", hint="text or json")
    return Call(method, chosen, fields["ignorestatus"] not in ("true", "1"))


def answer(request: BuildRequest, args: Namespace) -> int:
    """Print the answer that `args` call for; return the exit status. Raises UsageError."""
    if args.call == "build":
        raise UsageError("--format and --fix go with --check, --format also with --call")
    call = parse_call(args.call, args.format)
    if args.fix and call.method != "check":
        raise UsageError("--fix is for --check")
    if call.method == "check":
        from buildkit.cli import check  # the rules: for this method only

        status = check.run(request, args, call.format)
        return status if call.status else 0
    from buildkit.cli import outline, targets  # for the other two only

    run = outline.run if call.method == "outline" else targets.run
    return run(request, args, call.format)
