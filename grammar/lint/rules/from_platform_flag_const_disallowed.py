"""FromPlatformFlagConstDisallowed: a constant `--platform`, not said in the stage's name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grammar import words
from grammar.errors import GrammarError, quote
from grammar.instructions import Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule

_PLATFORM = re.compile(r"([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)(?:/[A-Za-z0-9_.-]+)?")
_ALSO = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at platforms without any variable."""
    for stage in dockerfile.stages:
        platform = stage.base.platform
        if platform is None:
            continue
        try:
            expansion = words.expand(platform.text, {}, dockerfile.escape)
        except GrammarError:
            continue
        if expansion.used or not expansion.text or _is_named(stage.name or "", expansion.text):
            continue
        yield RULE.finding(
            f"FROM --platform flag should not use constant value {quote(expansion.text)}",
            stage.base.span,
            platform.span,
        )


def _is_named(stage: str, platform: str) -> bool:
    """Say whether a stage's name has the system or the architecture in it."""
    match = _PLATFORM.fullmatch(platform)
    parts = (match[1], match[2]) if match else (platform,)
    normal = [part.lower() for part in parts]
    return any(_ALSO.get(part, part) in stage or part in stage for part in normal)


RULE = Rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "reference",
    check,
)
