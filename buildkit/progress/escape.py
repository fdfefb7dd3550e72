"""Making foreign text safe to print. Guarantee S27: no control sequence reaches the terminal."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_CONTROL = r"\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"


def visible(text: str, *, keep_newlines: bool = False) -> str:
    r"""Return `text` with control and bidi characters and lone surrogates as `\xNN`, `\uNNNN`.

    Tabs and newlines stay when `keep_newlines`.
    """
    if text.isascii() and text.isprintable():
        return text
    return _pattern(keep_newlines=keep_newlines).sub(_escape, text)


def _pattern(*, keep_newlines: bool) -> re.Pattern[str]:
    """Compile at first use: most of what is printed is plain."""
    low = r"\x00-\x08\x0b-\x1f" if keep_newlines else r"\x00-\x1f"
    import re  # hardly anything that is printed needs it

    return re.compile(f"[{low}{_CONTROL}]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
