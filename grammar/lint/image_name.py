"""Names of images, as far as lint looks into them.

In: a name as FROM has it once it is expanded. Out: whether it is one, and its parts.
Source: distribution/reference, grammar.go and normalize.go.
"""

from __future__ import annotations

import re

from runtime.values import NamedTuple

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_NAME = rf"(?:(?:{_DOMAIN})/)?{_COMPONENT}(?:/{_COMPONENT})*"
_LONGEST = 1024
"""Characters; a name may have 255, a tag 128, a digest fewer."""


class ImageName(NamedTuple):
    """A name's parts; tag and digest may be empty."""

    repository: str
    tag: str
    digest: str


def parse_image_name(text: str) -> ImageName | None:
    """Return the parts of `text`, None if it is no name of an image."""
    if len(text) > _LONGEST:
        return None
    match = re.fullmatch(rf"({_NAME})(?::({_TAG}))?(?:@({_DIGEST}))?", text)
    return None if match is None else ImageName(match[1], match[2] or "", match[3] or "")
