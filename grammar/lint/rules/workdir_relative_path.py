"""WorkdirRelativePath: the first WORKDIR of a stage hangs on that of its base image."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.errors import quote
from grammar.instructions import Dockerfile, Workdir
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import known, parents, walk


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at the first WORKDIR of each stage whose base is no stage that has one."""
    bases = parents(dockerfile)
    is_set: set[int] = set()
    for stage, base in zip(dockerfile.stages, bases, strict=True):
        if base in is_set or any(isinstance(one, Workdir) for one in stage.instructions):
            is_set.add(stage.number)
    seen_in: set[int] = set()
    for seen in walk(dockerfile):
        workdir, number = seen.instruction, seen.stage.number
        if not isinstance(workdir, Workdir) or number in seen_in or bases[number] in is_set:
            continue
        seen_in.add(number)
        path = known(workdir.path.text, seen.env, dockerfile.escape)
        if path is not None and not path.startswith("/"):
            yield RULE.finding(
                f"Relative workdir {quote(path)} can have unexpected results if the base image"
                " changes",
                workdir.span,
                workdir.path.span,
            )


RULE = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected"
    " results if the base image changes",
    "reference",
    check,
)
