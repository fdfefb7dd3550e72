"""Sources of ADD that are not in the context: downloads and git repositories.

In: a source as written, variables expanded. Out: an op, or None for a path. Document:
docs/dockerfile.md, 9.7; the forms of a git source are those of Moby BuildKit
(frontend/dockerfile/dfgitutil).
"""

from __future__ import annotations

import posixpath
import re

from buildkit.llb.op import GitOp, HttpOp
from buildkit.oci.digest import Digest
from grammar.errors import FlagError, quote
from grammar.values import parse_bool
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


UNNAMED = "__unnamed__"

# Not compiled here: most builds have no URL.
_SCHEME = r"([a-zA-Z0-9]+)://"
_SCP = r"(?s)[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:.*"
_URL_PATH = r"[a-zA-Z0-9]+://[^/?#]*([^?#]*)"
_HTTP = ("http://", "https://")
_KEYS = frozenset(
    (
        "ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules",
        "fetch-by-commit", "mtime",
    )
)  # fmt: skip


class GitSource(NamedTuple):
    """A repository as ADD names it; None where the source says nothing."""

    remote: str
    ref: str
    subdir: str
    checksum: str
    keep_git_dir: bool | None
    submodules: bool


def is_remote(source: str) -> bool:
    """Return whether `source` is a download or a repository, not a path in the context."""
    return is_git(source) or source.startswith(_HTTP)


def is_git(source: str) -> bool:
    """Return whether `source` is a repository; over HTTP only if its path ends in `.git`."""
    if "://" not in source and "@" not in source:
        return False
    scheme = re.match(_SCHEME, source)
    if scheme is None:
        return not source.startswith(("./", "../")) and re.fullmatch(_SCP, source) is not None
    kind = scheme[1].lower()
    if kind in ("http", "https"):
        return re.split(r"[?#]", source, maxsplit=1)[0].endswith(".git")
    return kind in ("git", "ssh")


def http_op(url: str, checksum: str) -> HttpOp:
    """Return the download of `url`. Raises FlagError for a checksum that is none."""
    match = re.match(_URL_PATH, url)
    name = posixpath.basename(_decoded(match[1] if match else "").rstrip("/"))
    try:
        digest = Digest.parse(checksum) if checksum else None
    except ValueError:
        raise FlagError(
            f"invalid checksum {quote(checksum)}", hint="write sha256: and 64 hex digits"
        ) from None
    return HttpOp(
        url=url, filename=name if name not in ("", ".", "..") else UNNAMED, checksum=digest
    )


def git_op(source: str, checksum: str, *, keep_git_dir: bool) -> GitOp:
    """Return the checkout of `source`; the other arguments are flags of ADD. Raises FlagError."""
    found = parse_git(source)
    if found.keep_git_dir is False and keep_git_dir:
        raise FlagError("inconsistent keep-git-dir configuration")
    if checksum and found.checksum and checksum != found.checksum:
        raise FlagError(f"checksum mismatch {quote(checksum)} != {quote(found.checksum)}")
    return GitOp(
        remote=found.remote,
        ref=found.ref,
        subdir=found.subdir,
        keep_git_dir=keep_git_dir or found.keep_git_dir is True,
        submodules=found.submodules,
        checksum=found.checksum or checksum,
    )


def parse_git(source: str) -> GitSource:
    """Return what `source`, for which `is_git` holds, says. Raises FlagError."""
    address, _, fragment = source.partition("#")
    remote, _, query = address.partition("?")
    ref, _, subdir = fragment.partition(":")
    options = _query(query) if query else {}
    found = GitSource(
        remote=remote,
        ref=_agreed("ref", ref, _reference(options)),
        subdir=_agreed("subdir", subdir, options.get("subdir", "")),
        checksum=options.get("checksum") or options.get("commit", ""),
        keep_git_dir=_boolean(options, "keep-git-dir"),
        submodules=_boolean(options, "submodules") is not False,
    )
    return found if found.ref else found._replace(ref=found.checksum)


def _decoded(text: str) -> str:
    """Return `text` with its %XX decoded."""
    if "%" not in text:
        return text
    # Not at the top: most builds have no URL, and urllib.parse takes 3 ms to import.
    from urllib.parse import unquote

    return unquote(text)


def _query(query: str) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for field in query.split("&"):
        key, _, value = map(_decoded, field.partition("="))
        if key not in _KEYS:
            raise FlagError(f"unexpected query {quote(key)}")
        if key in options:
            raise FlagError(f"query {quote(key)} has multiple values")
        if not value and key not in ("submodules", "keep-git-dir", "fetch-by-commit"):
            raise FlagError(f"query {quote(key)} has no value")
        options[key] = value
    _refuse_unsupported(options)
    return options


def _refuse_unsupported(options: Mapping[str, str]) -> None:
    """Refuse what cannot be carried out yet; what is the default anyway is fine."""
    if options.get("mtime", "checkout") != "checkout":
        raise FlagError('query "mtime" can only be "checkout" here')
    if _boolean(options, "fetch-by-commit"):
        raise FlagError('query "fetch-by-commit" is not supported')


def _reference(options: Mapping[str, str]) -> str:
    """Return the ref that `ref`, `tag` and `branch` name together."""
    tag, branch = options.get("tag", ""), options.get("branch", "")
    if tag and branch:
        raise FlagError("branch conflicts with tag")
    named = ""
    if tag:
        named = f"refs/tags/{tag.removeprefix('refs/tags/')}"
    if branch:
        named = f"refs/heads/{branch.removeprefix('refs/heads/')}"
    return _agreed("ref", options.get("ref", ""), named)


def _agreed(what: str, one: str, other: str) -> str:
    if one and other and one != other:
        raise FlagError(f"{what} conflicts: {quote(one)} vs {quote(other)}")
    return one or other


def _boolean(options: Mapping[str, str], key: str) -> bool | None:
    """Return a switch of the query; a key without a value turns it on."""
    value = options.get(key)
    if value is None:
        return None
    try:
        return not value or parse_bool(value)
    except FlagError:
        raise FlagError(f"invalid {key} value: {quote(value)}") from None
