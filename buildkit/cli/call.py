"""`--call=METHOD`: which answer about the Dockerfile is wanted in place of a build.

In: the values of `--call` (`check` for `--check`), `--format` and `--fix`. Out: a `Call`.
Methods are those of docker: check, outline, targets. The value may go on with `,format=json` and
`,ignorestatus=true`.
"""

from __future__ import annotations

from buildkit.cli.arguments import Namespace
from buildkit.errors import UsageError
from grammar.nearest import did_you_mean
from runtime.values import NamedTuple

METHODS = ("check", "outline", "targets")
_ALIASES = {"lint": "check"}
_TRUTH = {"": False, "false": False, "0": False, "true": True, "1": True}


class Call(NamedTuple):
    """`status`: whether findings show in the exit status."""

    method: str
    format: str
    status: bool


def call_of(args: Namespace, command: str = "build") -> Call:
    """Return what the arguments of a command call for. Raises UsageError.

    The commands `check`, `outline` and `targets` have one answer each.
    """
    if args.call == command == "build":
        raise UsageError("--format and --fix go with --check, --format also with --call")
    call = _parsed(args.call, args.format)
    if command not in ("build", call.method):
        raise UsageError(
            f"'pybuild {command}' does not answer --call={call.method}",
            hint=f"'pybuild {call.method}' does",
        )
    if args.fix and call.method != "check":
        raise UsageError("--fix is for --check")
    return call


def _parsed(text: str, form: str | None) -> Call:
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
    if fields["ignorestatus"] not in _TRUTH:
        raise UsageError(f"invalid --call {text!r}", hint="ignorestatus is true or false")
    chosen = form or fields["format"] or "text"
    formats = ("text", "json", *("sarif",) * (method == "check"))
    if chosen not in formats:
        raise UsageError(f"--call={method} has no format {chosen!r}", hint=" or ".join(formats))
    return Call(method, chosen, not _TRUTH[fields["ignorestatus"]])
