"""JSON by the interpreter's own C code, as the package `json` gives it, without importing that.

In: a document, or values. Out: what `json.loads` and `json.dumps` make of it. The package takes 1
ms to import, and `re` and `enum` behind it 3 ms. Where anything is out of the ordinary (a document
with an error, another encoding, an interpreter without the C code), the package itself is asked.
Source: json.decoder.JSONDecoder, json.encoder.JSONEncoder, Modules/_json.c.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Constant = Callable[[str], object]

try:
    import _json

    _HAS_CODE = True
except ImportError:
    _HAS_CODE = False

_SPACE = " \t\n\r"


def loads(data: bytes | str, *, parse_constant: Constant | None = None) -> Any:  # noqa: ANN401
    """Return the value that a document holds; see `json.loads`, also for errors."""
    if _HAS_CODE:
        text = data if isinstance(data, str) else _utf8(data)
        if text is not None:
            try:
                scan = _json.make_scanner(_Context(parse_constant))  # type: ignore[arg-type]
                value, end = scan(text, len(text) - len(text.lstrip(_SPACE)))
                if not text[end:].strip(_SPACE):
                    return value
            # The last before Python 3.12, whose C code does not find json's error before `json` is
            # imported. https://github.com/python/cpython/blob/v3.11.7/Modules/_json.c, raise_errmsg
            except (StopIteration, ValueError, SystemError):
                pass  # told below
    import json  # it says what is wrong, and where

    return json.loads(data, parse_constant=parse_constant)


def dumps(value: object, *, ascii_only: bool = True) -> str:
    """Return `value` as a document without white space.

    See `json.dumps` with `separators=(",", ":")`; `ascii_only` is its `ensure_ascii`.
    """
    if not _HAS_CODE:
        import json  # an interpreter without the C code

        return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    text = _json.encode_basestring_ascii if ascii_only else _json.encode_basestring
    if isinstance(value, str):
        return text(value)
    # Marks against circles, what is done with strange values, strings, indentation, separators;
    # whether to sort keys, to skip strange ones, and to take numbers that JSON does not have.
    encoder = _json.make_encoder({}, _refuse, text, None, ":", ",", False, False, True)  # noqa: FBT003
    return "".join(encoder(value, 0))


class _Context:
    """What the scanner asks for: how numbers and names of constants are read."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    def __init__(self, parse_constant: Constant | None) -> None:
        self.parse_constant = parse_constant or _CONSTANTS.__getitem__
        self.memo: dict[str, str] = {}


_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _utf8(data: bytes) -> str | None:
    """Return the text of a document in UTF-8, None for one in another encoding or with an error."""
    if b"\0" in data[:4]:
        return None
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def _refuse(value: object) -> None:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
