"""`--check --fix`: obvious repairs, written back into the Dockerfile.

In: the file and what was found in it. Out: the file with the repairs, replaced at once or not at
all, and what was changed. Whatever a repair would make worse is left as it was.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable

from buildkit.check import Checked
from buildkit.errors import UsageError
from buildkit.frontend.findings import Finding
from buildkit.progress.escape import visible
from grammar.lint.fix import repair
from grammar.source import BOM, Source
from runtime.values import NamedTuple

_ROUNDS = 5
"""Repairs that touch each other are made one after the other."""


class Fixed(NamedTuple):
    """What is left to say, which findings are no more, and the change as a unified diff."""

    checked: Checked
    repaired: tuple[Finding, ...]
    changes: str


def fixed(path: str, checked: Checked, look: Callable[[Source], Checked]) -> Fixed:
    """Repair the file at `path`, as far as `checked` and further looks say. Raises UsageError."""
    before = checked.source
    repaired: list[Finding] = []
    for _ in range(_ROUNDS):
        done = repair(checked.source.text, checked.findings)
        if not done.findings:
            break
        after = look(before._replace(text=done.text))
        if after.error is not None and checked.error is None:
            break
        checked, repaired = after, [*repaired, *done.findings]
    if checked.source.text != before.text:
        _replace(path, before.text, checked.source.text)
    return Fixed(checked, tuple(repaired), _changes(before, checked.source))


def _replace(path: str, before: str, after: str) -> None:
    """Write `after` in place of the file at `path`, which must still hold `before`."""
    real = os.path.realpath(path)
    temporary = f"{real}.{os.getpid()}.tmp"
    try:
        with open(real, "rb") as file:
            data = file.read()
            found = os.fstat(file.fileno())
        bom = BOM.encode() if data.startswith(BOM.encode()) else b""
        if data != bom + before.encode("utf-8", "replace"):
            raise UsageError(f"{path} is not UTF-8, or changed meanwhile; nothing was repaired")
        with open(temporary, "xb") as file:
            file.write(bom + after.encode("utf-8"))
            with contextlib.suppress(PermissionError):  # that of others stays theirs, for root
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
            os.fchmod(file.fileno(), found.st_mode & 0o7777)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, real)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _changes(before: Source, after: Source) -> str:
    lines = difflib.unified_diff(
        before.lines(), after.lines(), before.path, f"{after.path} (repaired)", n=1, lineterm=""
    )
    return "".join(f"{visible(line, keep_newlines=True)}\n" for line in lines)
