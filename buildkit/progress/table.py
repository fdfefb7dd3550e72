"""The ways of showing progress by the name that `--progress` takes."""

from __future__ import annotations

import os
import sys

from buildkit.errors import UsageError
from buildkit.progress.plain import LOG_LIMIT, PlainDisplay
from buildkit.progress.quiet import QuietDisplay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from buildkit.progress.display import Display


_VARIABLE = "BUILDKIT_STEP_LOG_MAX_SIZE"


def display_for(mode: str, stream: TextIO | None = None) -> Display:
    """Return the display called `mode`, on `stream` (standard error if None).

    `auto` is `tty` on a terminal and `plain` elsewhere. Raises UsageError for unknown names.
    """
    stream = sys.stderr if stream is None else stream
    if mode == "auto":
        mode = "tty" if _is_terminal(stream) else "plain"
    make = DISPLAYS.get(mode)
    if make is None:
        names = ", ".join(MODES)
        raise UsageError(f"no progress display is called {mode!r}", hint=f"there are: {names}")
    return make(stream)


def _plain(stream: TextIO) -> Display:
    """As BuildKit: NO_COLOR takes colours away, -1 as log limit means none."""
    try:
        limit = int(os.environ.get(_VARIABLE, ""))
    except ValueError:
        limit = LOG_LIMIT
    return PlainDisplay(stream, colours=not os.environ.get("NO_COLOR"), log_limit=limit)


def _tty(stream: TextIO) -> Display:
    # queue and collections: only a terminal needs them
    from buildkit.progress.live import LiveDisplay

    return LiveDisplay(stream)


def _quiet(_stream: TextIO) -> Display:
    return QuietDisplay()


def _rawjson(stream: TextIO) -> Display:
    # base64 and json: only this display needs both
    from buildkit.progress.rawjson import RawJsonDisplay

    return RawJsonDisplay(stream)


DISPLAYS: Mapping[str, Callable[[TextIO], Display]] = {
    "tty": _tty,
    "plain": _plain,
    "quiet": _quiet,
    "none": _quiet,
    "rawjson": _rawjson,
}

MODES = ("auto", *DISPLAYS)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    except ValueError:  # closed
        return False
