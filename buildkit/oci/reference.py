"""Image references: `[domain/]path[:tag][@digest]`.

In: what a user wrote. Out: the reference with nothing left implicit, and its short form for
showing. Source: distribution/reference (grammar.go, normalize.go). Every name is checked here
before it is ever used as a path or as part of a URL (docs/security.md, S16).
"""

from __future__ import annotations

from buildkit.oci.digest import Digest, is_hex
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_MAX_NAME = 255
_ALGORITHM = "sha256"

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?"
_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_WORD = f"{_LOWER}ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_SEPARATORS = ("", ".", "_", "__")


class Reference(NamedTuple):
    """An image's name. `tag` may be empty only when `digest` is given."""

    domain: str
    path: str
    tag: str
    digest: Digest | None = None

    def __str__(self) -> str:
        """The canonical form, `docker.io/library/app:latest`."""
        return f"{self.repository}{self._suffix()}"

    @property
    def repository(self) -> str:
        """Domain and path."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The short form, `app:latest`."""
        if self.domain != DEFAULT_DOMAIN:
            return str(self)
        short = self.path.removeprefix("library/")
        return f"{self.path if '/' in short else short}{self._suffix()}"

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag if self.digest is None else f"{tag}@{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the reference that `text` means. Raises ValueError saying what is wrong."""
        if is_hex(text):
            raise ValueError(f"{text!r} is an image ID, not a name")
        name, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        name, tag = _split_tag(name)
        domain, path = _split_domain(name)
        _check(text, domain, path, tag)
        return cls(domain, path, tag or ("" if digest else DEFAULT_TAG), digest)


def name_to_give(text: str) -> Reference:
    """Return `text` as a name that an image may get. Raises ValueError saying what is wrong.

    The short form of one whose repository is `sha256` would read like an ID; docker refuses it in
    these words.
    """
    name = Reference.parse(text)
    if name.domain == DEFAULT_DOMAIN and name.path == f"library/{_ALGORITHM}":
        raise ValueError("refusing to create an ambiguous tag using digest algorithm as name")
    return name


def _split_tag(name: str) -> tuple[str, str]:
    """Split off what follows the last colon, unless that colon belongs to a port."""
    head, colon, tail = name.rpartition(":")
    if not colon or "/" in tail:
        return name, ""
    if not tail:
        raise ValueError(f"empty tag in {name!r}")
    return head, tail


def _split_domain(name: str) -> tuple[str, str]:
    head, slash, tail = name.partition("/")
    is_domain = slash and (
        "." in head or ":" in head or head == "localhost" or head != head.lower()
    )
    domain, path = (head, tail) if is_domain else (DEFAULT_DOMAIN, name)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _check(text: str, domain: str, path: str, tag: str) -> None:
    if domain != DEFAULT_DOMAIN and not _is_host(domain):
        raise ValueError(f"{text!r} names an impossible registry host: {domain!r}")
    if not _is_path(path):
        why = "has upper-case letters" if _is_path(path.lower()) else "is not a repository path"
        raise ValueError(f"{text!r} is not an image name: it {why}")
    if len(domain) + len(path) + 1 > _MAX_NAME:
        raise ValueError(f"image name longer than {_MAX_NAME} characters: {text[:40]!r}...")
    if tag and not _is_tag(tag):
        raise ValueError(f"{text!r} has an impossible tag: {tag!r}")


def _is_path(path: str) -> bool:
    """Whether `path` is components joined by slashes.

    A component is letters and digits, in groups separated by one of `.`, `_`, `__` or by hyphens.
    """
    for component in path.split("/"):
        if not component or component[0] not in _LOWER or component[-1] not in _LOWER:
            return False
        separator = ""
        for char in component:
            if char not in _LOWER:
                separator += char
            elif separator:
                if separator not in _SEPARATORS and separator.strip("-"):
                    return False
                separator = ""
    return True


def _is_tag(tag: str) -> bool:
    return len(tag) <= 128 and tag[0] in _WORD and not tag.strip(f"{_WORD}.-")


def _is_host(domain: str) -> bool:
    import re  # the usual host needs no look, and importing this costs more than all the rest

    if not re.fullmatch(_DOMAIN, domain):
        return False
    port = domain.rpartition("]")[2].rpartition(":")[2]
    return not port.isdecimal() or (len(port) < 6 and int(port) < 1 << 16)
