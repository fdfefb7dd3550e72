"""CacheMountUidMismatch: a cache mount that the user of the step cannot write to."""

from __future__ import annotations

from collections.abc import Iterator

from grammar.errors import GrammarError
from grammar.flags import CacheMount, parse_run_mount
from grammar.instructions import Dockerfile, Run
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import walk


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at cache mounts of steps with a USER that is not root."""
    for seen in walk(dockerfile):
        run = seen.instruction
        user = seen.user.partition(":")[0]
        if not isinstance(run, Run) or user in ("", "?", "root", "0"):
            continue
        for word in run.mounts:
            try:
                mount = parse_run_mount(word.text, word.span)
            except GrammarError:
                continue
            # An owner who is not root is one that somebody has thought about.
            if isinstance(mount, CacheMount) and mount.uid == 0 and not mount.mode & 0o002:
                target = mount.target or "its target"
                yield RULE.finding(
                    f"Cache mount at {target} belongs to root, USER is {user}: give it uid= and"
                    " gid=",
                    run.span,
                    word.span,
                )


RULE = Rule(
    "CacheMountUidMismatch",
    "A cache mount should belong to the user of the step",
    "trap",
    check,
)
