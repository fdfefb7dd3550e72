"""What a COPY or ADD takes: files as values, and the digest that stands for them in a key.

In: entries found by `sources.py`. Out: one digest an origin over everything that is in the key of a
COPY (docs/caching.md, "What is in a key"): path below the source, content, mode, owner, link
target, device numbers, attributes, which files are one file; and a manifest that names each file.
Not in it: times, inodes, the order of a directory, where in its origin a source lies.
"""

from __future__ import annotations

from buildkit.cache.manifest import FileState, line
from buildkit.context.paths import join
from buildkit.oci.digest import Digest, sha256_of
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from buildkit.context.rows import Xattrs


Kind: TypeAlias = Literal["file", "dir", "link", "char", "block", "fifo"]

INLINE = -1
"""The origin of heredocs, which stand in the op itself."""


class Entry(NamedTuple):
    """One file to be copied.

    `path` is relative to its root, empty for the root itself. `content`: sha256 in hex of a file,
    target of a link, `MAJOR:MINOR` of a device. `same`: files of one root with equal numbers other
    than 0 are one file (hard links). `mode`: the 12 permission bits, 0 where --chmod replaces them.
    `mtime_ns` is in no key; of directories it is not known here and 0.
    """

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    content: str
    xattrs: Xattrs
    same: int
    mtime_ns: int = 0


class Root(NamedTuple):
    """One thing named by a source, or matched by its wildcard.

    `number` is that of the source. `path` is canonical in its origin; `name` the last name of what
    the Dockerfile calls it. `directory`: what is in it is copied, not it. `include`: with
    --parents, the pattern below `path` of what is taken. `state` is the ignore state of `path`.
    """

    number: int
    origin: int
    path: str
    name: str
    directory: bool
    include: str
    state: int


class Selection(NamedTuple):
    """All that one COPY takes. `entries(root)` lists a root; cheap after the first time.

    `digests`: by origin (input of the vertex).
    """

    roots: tuple[Root, ...]
    digests: Mapping[int, Digest]
    entries: Callable[[Root], tuple[Entry, ...]]

    def manifest(self, origin: int) -> bytes:
        """Return the per-file manifest of what is taken from `origin`."""
        return b"".join(
            line(state)
            for root in self.roots
            if root.origin == origin
            for state in _states(root, self.entries(root))
        )


def digest_of(roots: Iterable[tuple[Root, tuple[Entry, ...]]]) -> Digest:
    """Return the digest of `roots`, all of one origin, with their entries.

    Every record has a fixed number of fields that end in NUL, which no name contains; what could
    contain one is in hex.
    """
    parts = ["pybuild selection 1\0"]
    for root, entries in roots:
        head = "dir\0\0" if root.directory else f"file\0{root.name}\0"
        parts.append(f"{head}{len(entries)}\0")
        parts.extend(map(_record, entries))
    return Digest.parse(f"sha256:{sha256_of(_encode(''.join(parts))).hexdigest()}")


def _record(entry: Entry) -> str:
    path, kind, mode, uid, gid, _, content, xattrs, same, _ = entry
    marks = _xattrs_text(xattrs) if xattrs else ""
    return f"{path}\0{kind}\0{mode:o}\0{uid}\0{gid}\0{content}\0{marks}\0{same}\0"


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _xattrs_text(xattrs: Xattrs) -> str:
    return ",".join(f"{name}={value.hex()}" for name, value in xattrs)


def _states(root: Root, entries: Iterable[Entry]) -> Iterator[FileState]:
    """Yield what a manifest says of `entries`, which lie in `root`."""
    first: dict[int, str] = {}
    for entry in entries:
        path = join(root.path, entry.path)
        same = first.setdefault(entry.same, path) if entry.same else path
        yield FileState(
            path=path,
            kind=entry.kind,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            content=entry.content,
            xattrs=_xattrs_text(entry.xattrs),
            same="" if same == path else same,
        )
