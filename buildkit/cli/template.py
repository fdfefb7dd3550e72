"""The little of Go's templates that people use with `--format`.

In: a template, a document of dictionaries and lists. Out: text. `{{.A.B}}` is a value as Go prints
it, `{{json .A}}` one as JSON, `{{index .A "key"}}` an entry; the rest is literal.
Source: Go's text/template.
"""

from __future__ import annotations

import json
import re
import sys

from buildkit.cli.listing import print_table
from buildkit.errors import UsageError
from buildkit.progress.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_PATH = re.compile(r"(?:\.[A-Za-z0-9_]+)+|\.")
_INDEX = re.compile(r'index\s+(\S+)\s+(?:"([^"]*)"|([0-9]+))')


def render(template: str, document: dict[str, Any]) -> str:
    """Return `template` with its actions carried out. Raises ValueError for unknown ones."""
    text = template.replace("\\n", "\n").replace("\\t", "\t")
    return _ACTION.sub(lambda match: _evaluated(match[1], document), text)


def line_of(template: str, document: dict[str, Any], example: str) -> str:
    """Return what `--format` makes of a document, safe to print.

    Raises UsageError, with a template as an `example`, for one that cannot be.
    """
    try:
        text = render(template, document)
    except ValueError as error:
        raise UsageError(f"--format: {error}", hint=f"as in '{example}'") from error
    return visible(text, keep_newlines=True)


def print_rows(template: str, rows: Iterable[dict[str, Any]], heads: Mapping[str, str]) -> None:
    """Print a line for each row, or, with `table ` in front of the template, columns.

    `heads`: what a column with a field of a row is called. Raises UsageError for a template that is
    none.
    """
    text = template.removeprefix("table ").replace("\\t", "\t")
    try:
        first, *lines = [render(text, row) for row in (dict(heads), *rows)]
    except ValueError as error:
        hint = f"known are {', '.join(heads)}"
        raise UsageError(f"--format: {error}", hint=hint) from error
    if template.startswith("table "):
        print_table(first.split("\t"), [line.split("\t") for line in lines])
        return
    sys.stdout.writelines(f"{visible(line, keep_newlines=True)}\n" for line in lines)


def _evaluated(action: str, document: dict[str, Any]) -> str:
    word, _, rest = action.partition(" ")
    if word == "json":
        return json.dumps(_value(rest.strip(), document), separators=(",", ":"))
    return _go(_value(action, document))


def _value(expression: str, document: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if match := _INDEX.fullmatch(expression):
        found = _value(match[1], document)
        if isinstance(found, dict) and match[2] is not None:
            return found.get(match[2], "")
        if isinstance(found, list) and match[3] is not None and int(match[3]) < len(found):
            return found[int(match[3])]
        raise ValueError(f"{match[1]} has no such entry")
    if not _PATH.fullmatch(expression):
        raise ValueError(f"{{{{{expression}}}}} is not supported")
    found = document
    for name in filter(None, expression.split(".")):
        if not isinstance(found, dict) or name not in found:
            raise ValueError(f"there is no {expression}")
        found = found[name]
    return found


def _go(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a value as Go's fmt prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(_go, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go(item)}' for key, item in sorted(value.items()))}]"
    return str(value)
