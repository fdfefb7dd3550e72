"""AddInsteadOfCopy: ADD where it does nothing that COPY does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grammar.instructions import Add, Dockerfile
from grammar.lint.finding import Finding
from grammar.lint.rule import Rule
from grammar.lint.walk import everything
from grammar.source import Word

_ARCHIVE = re.compile(r"\.(?:tar|t[a-z]z2?|gz|bz2|xz|zst|lzma|Z|tbz|tlz)$")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|git@|[\w.-]+@[\w.-]+:")


def check(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Look at ADDs of nothing but local files that are no archives by their names."""
    for instruction in everything(dockerfile):
        if not isinstance(instruction, Add) or instruction.unpack is not None:
            continue
        if instruction.checksum or instruction.keep_git_dir:
            continue
        if not any(_is_special(source) for source in instruction.sources):
            yield RULE.finding(
                "Use COPY for files of the build context; ADD also unpacks archives and fetches"
                " URLs",
                instruction.span,
                instruction.keyword.span,
            )


def _is_special(source: Word) -> bool:
    text = source.text.strip("\"'")
    return "$" in text or _REMOTE.match(text) is not None or _ARCHIVE.search(text) is not None


RULE = Rule("AddInsteadOfCopy", "COPY is enough for local files", "advice", check)
