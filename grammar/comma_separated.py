"""Records of comma-separated values: what `RUN --mount=`, `--output` and such have behind the `=`.

In: one record, which has no line of its own. Out: its fields; one in double quotes may hold commas.
Source: RFC 4180, as Go's encoding/csv reads it, which BuildKit and docker use.
"""

from __future__ import annotations


def split_record(text: str) -> list[str]:
    """Return the fields of `text`, at least one. Raises ValueError, which says what Go says."""
    if not text:
        raise ValueError("EOF")
    if '"' not in text:
        return text.split(",")
    fields: list[str] = []
    position = 0
    while True:
        if text.startswith('"', position):
            field, position = _quoted_field(text, position + 1)
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field = text[position:end]
            if '"' in field:
                raise _error(text, position + field.index('"'), 'bare " in non-quoted field')
            position = end
        fields.append(field)
        if position >= len(text):
            return fields
        position += 1


def _quoted_field(text: str, position: int) -> tuple[str, int]:
    """Return the field behind a quote, and where it ends; a doubled quote is one."""
    parts: list[str] = []
    while True:
        end = text.find('"', position)
        if end < 0:
            raise _error(text, len(text), 'extraneous or missing " in quoted-field')
        parts.append(text[position:end])
        position = end + 1
        if not text.startswith('"', position):
            break
        parts.append('"')
        position += 1
    if position < len(text) and text[position] != ",":
        raise _error(text, position - 1, 'extraneous or missing " in quoted-field')
    return "".join(parts), position


def _error(text: str, position: int, problem: str) -> ValueError:
    column = len(text[:position].encode("utf-8", "surrogatepass")) + 1
    return ValueError(f"parse error on line 1, column {column}: {problem}")
