"""`WWW-Authenticate`: which proof of identity a registry asks for.

In: the header's value (several are joined by commas). Out: challenges. Pure, linear in its input.
Source: RFC 9110, 11.6.1; distribution's "Token Authentication Specification".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runtime.values import NamedTuple

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|$)")
_LIMIT = 16 << 10


class Challenge(NamedTuple):
    """One challenge; `scheme` and the names of `parameters` in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(text: str) -> tuple[Challenge, ...]:
    """Return the challenges in `text`; what cannot be read ends the list."""
    text = text[:_LIMIT]
    found: list[tuple[str, dict[str, str]]] = []
    offset = 0
    while offset < len(text):
        if text[offset] in ", \t":
            offset += 1
            continue
        parameter = _PARAMETER.match(text, offset)
        if parameter and found:
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(name.lower(), value)
            offset = parameter.end()
            continue
        scheme = _SCHEME.match(text, offset)
        if scheme is None:
            break
        found.append((scheme.group(1).lower(), {}))
        offset = scheme.end()
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)
