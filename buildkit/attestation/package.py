"""A software package of an image, as its package database tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


PackageKind: TypeAlias = Literal["deb", "apk", "rpm", "pypi", "npm", "golang"]
"""Types of purl-spec, PURL-TYPES.rst."""

_LONGEST = 512


class Package(NamedTuple):
    """`version` as the database has it, with epoch and release. `source`: the package it was built
    from, where it is another. `place`: the file that tells of it, without a leading slash.
    """

    kind: PackageKind
    name: str
    version: str
    architecture: str = ""
    license: str = ""
    source: str = ""
    place: str = ""


class Distribution(NamedTuple):
    """`ID` and `VERSION_ID` of os-release(5); empty where it does not say."""

    id: str = ""
    version: str = ""


def stanzas(data: bytes, separator: str = ":") -> Iterator[dict[str, str]]:
    """Yield the paragraphs of an RFC 822-like database: fields by name, of each its first line."""
    found: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            if found:
                yield found
            found = {}
        elif not line[0].isspace():
            name, colon, value = line.partition(separator)
            if colon:
                found[name] = value.strip()
    if found:
        yield found


def sound(packages: Iterable[Package]) -> Iterator[Package]:
    """Yield those of `packages` that have a name and a version one can print."""
    for package in packages:
        if package.name and package.version and all(map(_is_plain, package)):
            yield package


def _is_plain(text: str) -> bool:
    return len(text) <= _LONGEST and text.isprintable()
