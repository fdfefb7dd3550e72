"""What must not be read in a document that leaves the machine is masked.

In: a JSON document, values of secrets. Out: the same document, with `***` in their place, also
where they are in base64 or percent-encoded, and in that of names and passwords in URLs.
Guarantee S26.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from buildkit.ops.secret_forms import needles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


MASK = "***"

_USERINFO = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#\s@]*(?:@[^/?#\s@]*)*@")
_SHORTEST = 4
"""Characters; a shorter value would be found in half of all words."""


def masked(document: Any, secrets: Iterable[bytes] = ()) -> Any:  # noqa: ANN401 - JSON
    """Return `document` without what is secret, keys of objects included."""
    values = {
        form.decode("utf-8", "surrogateescape").strip()
        for value in secrets
        for form in (value, *needles(value))
    }
    # The longest first: one may hold another.
    words = sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True)
    return _masked(document, words)


def _masked(value: Any, words: list[str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        for word in words:
            value = value.replace(word, MASK)
        return _USERINFO.sub(rf"\1{MASK}@", value) if "://" in value else value
    if isinstance(value, dict):
        return {_masked(key, words): _masked(one, words) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(one, words) for one in value]
    return value
