"""Annotations by the document they go into: `--annotation` and the attributes `annotation…` of -o.

In: `[TYPE[PLATFORM],…:]NAME=VALUE`, or an attribute. Out: `Annotation`s, and which of them one
document gets. Source: docker buildx build, --annotation; Moby BuildKit's page on annotations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from buildkit.errors import UsageError
from buildkit.oci.platforms import Platform
from runtime.typed import Literal, get_args
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


AnnotationKind: TypeAlias = Literal["manifest", "manifest-descriptor", "index", "index-descriptor"]
"""A manifest, what an index says of it, the index of all, and what a layout says of that."""

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_KIND = re.compile(r"([a-z-]+)(?:\[([^\[\]]*)\])?")
_ATTRIBUTE = re.compile(r"annotation(?:-([a-z-]+))?(?:\[([^\[\]]*)\])?\.(.+)", re.IGNORECASE)


class Annotation(NamedTuple):
    """`platform`: of the manifest, None for all."""

    kind: AnnotationKind
    platform: Platform | None
    name: str
    value: str


def parse_annotation(text: str) -> tuple[Annotation, ...]:
    """Parse a value of `--annotation`. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"invalid --annotation {text!r}", hint="the form is NAME=VALUE")
    kinds, colon, rest = name.partition(":")
    words = re.split(r",(?![^\[]*\])", kinds) if colon else []
    found = [_KIND.fullmatch(word) for word in words]
    known = [match for match in found if match is not None and match[1] in get_args(AnnotationKind)]
    if not known:
        return (Annotation("manifest", None, name, value),)
    if len(known) != len(found):
        raise UsageError(f"--annotation {text}: not all types before the colon are known")
    return tuple(_annotation(match[1], match[2], rest, value, text) for match in known)


def parse_attribute(name: str, value: str) -> Annotation:
    """Parse the attribute `annotation[-TYPE][[PLATFORM]].NAME` of an output."""
    match = _ATTRIBUTE.fullmatch(name)
    kind = "" if match is None else (match[1] or "manifest").lower()
    if match is None or kind not in get_args(AnnotationKind):
        raise UsageError(
            f"no output attribute is called {name!r}",
            hint=f"annotation-TYPE.NAME with {', '.join(get_args(AnnotationKind))}",
        )
    return _annotation(kind, match[2], match[3], value, name)


def _annotation(kind: str, platform: str | None, name: str, value: str, text: str) -> Annotation:
    if platform is not None and kind.startswith("index"):
        raise UsageError(f"{text}: an index is for no platform of its own")
    try:
        wanted = None if platform is None else Platform.parse(platform)
    except ValueError as error:
        raise UsageError(f"{text}: {error}", hint="as in manifest[linux/amd64]") from error
    known: AnnotationKind = next(one for one in get_args(AnnotationKind) if one == kind)
    return Annotation(known, wanted, name, value)


def pairs_of(
    annotated: Iterable[Annotation], kind: AnnotationKind, platform: Platform | None = None
) -> Pairs:
    """Return what a document of `kind`, of an image for `platform`, gets; the last of a name."""
    return tuple(
        {
            one.name: (one.name, one.value)
            for one in annotated
            if one.kind == kind and one.platform in (None, platform)
        }.values()
    )
