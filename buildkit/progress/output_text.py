r"""What a program printed, made fit for a log: a line in, a line out that moves no cursor.

Guarantee S27: operating system commands, device control strings and cursor movements are lost,
colours may stay, other control characters become visible. What a carriage return overwrote is left
out, as on a terminal.
"""

from __future__ import annotations

import re

from buildkit.progress.escape import visible

RESET = "\x1b[0m"

_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")
_SEQUENCE = re.compile(
    "\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?"  # OSC: titles, links, the clipboard
    "|\x1b[PX^_][^\x1b]*(?:\x1b\\\\)?"  # DCS, SOS, PM, APC
    "|\x1b\\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, erasing, modes; colours are let through before
    "|\x1b[ -/]*[0-OQ-WYZ\\\\`-~]"  # single shifts, resets, character sets
)


def output_line(data: bytes, *, colours: bool) -> str:
    """Return one line (without its newline) of a program's output as it may be shown."""
    text = data.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return text
    text = text.rstrip("\r").rpartition("\r")[2]
    shown = "".join(
        piece if position % 2 else visible(_SEQUENCE.sub("", piece), keep_newlines=True)
        for position, piece in enumerate(_COLOUR.split(text))
        if colours or not position % 2
    )
    return shown + RESET if "\x1b" in shown and not shown.endswith(RESET) else shown
