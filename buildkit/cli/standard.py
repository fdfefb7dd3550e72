"""The standard streams of the program: they are there, and what cannot be printed says so.

In: descriptors 0, 1 and 2 as the caller gave them. Out: `sys.stdin`, `sys.stdout` and `sys.stderr`.
"""

from __future__ import annotations

import io
import os
import sys

STDOUT = "standard output"
"""The `filename` of an OSError about it."""


class _Output(io.FileIO):
    """Descriptor 1. Its errors have a name: without one a full disk behind it looks like ours."""

    # Before Python 3.12, what gives a buffer has no name in the library.
    def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
        """Write some of `data`; return how much."""
        try:
            return super().write(data)
        except OSError as error:
            error.filename = STDOUT
            raise


def prepare() -> None:
    """Make the standard streams what commands take them for."""
    _open_closed()
    old = sys.stdout
    raw = _Output(1, "wb", closefd=False)
    unbuffered = isinstance(old, io.TextIOWrapper) and old.write_through  # PYTHONUNBUFFERED
    sys.stdout = io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=old.encoding,
        errors=old.errors,
        newline="\n",
        line_buffering=bool(old.line_buffering),
        write_through=unbuffered,
    )


def _open_closed() -> None:
    """Put /dev/null where descriptor 0, 1 or 2 is closed, so that no file of ours lands there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open("/dev/null", os.O_RDWR)
            if opened != number:  # a lower one was closed too and is filled already
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def mute_stdout() -> None:
    """Point standard output to /dev/null after its reader has gone, so that nothing complains."""
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
