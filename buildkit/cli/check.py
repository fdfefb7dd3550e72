"""`pybuild check`: lint a Dockerfile without building it. Takes the options of `build`.

Exit status: 0 nothing was found, 1 something was, or the Dockerfile cannot be built; 2 usage.
Needs no store, but for a context that has to be fetched: base images that are there are looked
into, for others what is known of them counts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from buildkit.check import Checked, Find, check
from buildkit.cli import request as build_request
from buildkit.cli.arguments import Namespace, Parser
from buildkit.cli.call import Call, call_of
from buildkit.cli.dockerfile import definition_at
from buildkit.cli.fix import fixed
from buildkit.cli.listing import print_json
from buildkit.cli.options import open_root, state_path
from buildkit.cli.report import describe
from buildkit.cli.sarif import sarif
from buildkit.cli.warnings import document, text
from buildkit.context.local import LocalContext
from buildkit.definition import placed
from buildkit.errors import BuildError, ImageError, UsageError
from buildkit.frontend.bases import BaseRequest
from buildkit.images import ImageStore
from buildkit.oci.config import ResolvedImage
from buildkit.request import BuildRequest
from buildkit.state.root import StateRoot
from grammar.lint.table import RULES
from grammar.nearest import did_you_mean
from grammar.source import Source


def add_arguments(parser: Parser) -> None:
    """Declare the options: those of `build`."""
    build_request.add_options(parser)
    build_request.add_call_options(parser)
    parser.set_defaults(call="check")
    parser.add_argument(
        "--explain", metavar="RULE", help="print the page about a rule, check nothing"
    )
    build_request.add_context(parser, "check")


def command(args: Namespace) -> int:
    """Check; return the exit status."""
    if args.explain is not None:
        sys.stdout.write(_page(args.explain))
        return 0
    return run(build_request.request_of(args), args, call_of(args, "check"))


def _page(name: str) -> str:
    if name not in RULES:
        raise UsageError(
            f"there is no lint rule {name!r}{did_you_mean(name, RULES, ignore_case=False)}",
            hint=f"there are: {', '.join(sorted(RULES))}",
        )
    from grammar.lint.page import page  # for --explain only

    return page(RULES[name])


def run(request: BuildRequest, args: Namespace, call: Call) -> int:
    """Check what `request` would build and print what was found."""
    with ExitStack() as stack:
        main, root = stack.enter_context(definition_at(request, args))
        path, source = main.dockerfile, main.source
        if args.fix and path is None:
            raise UsageError("--fix needs a file: the Dockerfile came from elsewhere")
        context = None
        if os.path.isdir(main.directory):
            context = LocalContext.open(main.directory, dockerfile=path, ignore=main.kept)
            stack.callback(context.close)
        find = stack.enter_context(_images(args, root))

        def look(text: Source) -> Checked:
            platforms = request.platforms or (request.options.platform,)
            several = [
                check(text, request.options._replace(platform=one), context, find)
                for one in platforms
            ]
            return several[0] if len(several) == 1 else _united(several)

        checked = look(source)
        if args.fix and path is not None:
            checked = _fix(path, checked, look)
    status = _show(checked, call.format)
    return status if call.status else 0


def _united(several: Sequence[Checked]) -> Checked:
    """Return what is to be said of any platform, each thing once, and the first error."""
    findings = dict.fromkeys(finding for one in several for finding in one.findings)
    return several[0]._replace(
        findings=tuple(sorted(findings, key=lambda finding: finding.span.line)),
        strangers=tuple(dict.fromkeys(name for one in several for name in one.strangers)),
        error=next((one.error for one in several if one.error is not None), None),
    )


def _fix(path: str, checked: Checked, look: Callable[[Source], Checked]) -> Checked:
    """Repair the file at `path`; what was changed is shown on standard error."""
    done = fixed(path, checked, look)
    sys.stderr.write(done.changes)
    for finding in done.repaired:
        sys.stderr.write(f"repaired {finding}\n")
    return done.checked


def _show(checked: Checked, form: str) -> int:
    if form == "json":
        print_json(document(checked))
    elif form == "sarif":
        print_json(sarif(checked))
    else:
        sys.stdout.write(text(checked))
        for stranger in checked.strangers:
            sys.stdout.write(
                f"\nnote: {stranger} is not in the store: what variables it sets is not known\n"
            )
    if checked.error is not None:
        sys.stdout.flush()
        sys.stderr.write(describe(placed(checked.error, checked.source))[1])
    return 1 if checked.findings or checked.error is not None else 0


@contextmanager
def _images(args: Namespace, root: StateRoot | None) -> Iterator[Find]:
    """Give a way to look for images in the store, which is opened when the first is asked for.

    `root`: the store, if it is open already.
    """
    stores: list[ImageStore | None] = [] if root is None else [ImageStore(root)]

    def find(wanted: BaseRequest) -> ResolvedImage | None:
        if not stores:
            stores.append(_store(args, stack))
        try:
            return None if stores[0] is None else stores[0].find(wanted.reference, wanted.platform)
        except ImageError:
            return None

    with ExitStack() as stack:
        yield find


def _store(args: Namespace, stack: ExitStack) -> ImageStore | None:
    """Open the store, if there is one that can be opened: a check makes none."""
    try:
        if not os.path.exists(os.path.join(state_path(args.root), "format")):
            return None
        return ImageStore(stack.enter_context(open_root(args)))
    except BuildError:
        return None
