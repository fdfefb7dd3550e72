"""What the store is full of, by type.

In: a state root. Out: one `Usage` a type, each with its entries. A type takes what it takes on the
disk, as du(1) counts it: a file that layers share counts once, for the first type that has it. Of a
single image or step the size is that of its layers' tars, as `images` has it. Looks,
and changes nothing but what dead commands have left.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable

from buildkit.cache.key import CacheKey
from buildkit.content.local import LocalBlobStore
from buildkit.errors import ImageError, StoreError
from buildkit.images import ImageStore
from buildkit.oci.digest import Digest
from buildkit.records.match import instruction
from buildkit.records.store import RecordStore
from buildkit.snapshot.disk import LayerDisk, tree_size
from buildkit.state.lease import collect_stale, in_use
from buildkit.state.root import StateRoot
from runtime.container import is_free
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias


class Entry(NamedTuple):
    """One thing: `used` is when it was last used, in seconds since the epoch, 0 if unknown.

    `shared`: bytes of its layers that another image has, too.
    """

    name: str
    size: int
    used: float
    active: bool
    description: str = ""
    shared: int = 0


_Layered: TypeAlias = tuple[Entry, set[str]]
"""A thing, with its layers."""


class Usage(NamedTuple):
    """All things of one type. `reclaimable`: bytes that a whole `prune` would give back now."""

    kind: str
    entries: tuple[Entry, ...]
    size: int
    reclaimable: int

    @property
    def active(self) -> int:
        """How many are in use by running commands."""
        return sum(entry.active for entry in self.entries)


KINDS = (
    *("image", "step", "untagged image", "layer", "container", "volume", "blob", "cache"),
    *("context", "log", "database"),
)
"""The types, in the order in which they are told."""


def usage(
    root: StateRoot, wanted: Callable[[str, Entry], bool] = lambda _kind, _entry: True
) -> tuple[Usage, ...]:
    """Return what there is, by type; of each type those entries alone that are `wanted`."""
    return _Looking(root, wanted).all()


class _Looking:
    def __init__(self, root: StateRoot, wanted: Callable[[str, Entry], bool]) -> None:
        self._root = root
        self._wanted = wanted
        collect_stale(root.top)  # what the dead have marked is nobody's
        self._marks = in_use(root.top)
        self._sizes: dict[str, int] = dict(self._rows("SELECT diff_id, size FROM layer"))
        self._used: dict[str, float] = dict(self._rows("SELECT diff_id, used FROM layer"))
        layers = self._root.path("layers")
        self._disk = LayerDisk((f"sha256:{name}", f"{layers}/{name}") for name in _names(layers))
        self._counted: set[str] = set()
        """Layers of the types before."""
        self._going: set[str] = set()
        """Those of them that `prune` would remove."""

    def all(self) -> tuple[Usage, ...]:
        named, untagged = self._images()
        return (
            self._usage("image", named, free=False),
            self._steps(_union(named), _union(untagged)),
            self._usage("untagged image", untagged),
            self._others(),
            self._containers(),
            self._volumes(),
            self._blobs(),
            self._directories("cache", "cache mount", self._root.path("caches")),
            self._files("context", "contexts"),
            self._files("log", "logs"),
            self._database(),
        )

    def _images(self) -> tuple[list[_Layered], list[_Layered]]:
        """Return the images with and without a name, each with the layers that it needs."""
        images = ImageStore(self._root)
        indexes = images.indexes()
        within = {part.image for parts in indexes.values() for part in parts}
        named: list[_Layered] = []
        untagged: list[_Layered] = []
        rows = self._rows("SELECT config, created FROM known_image")
        all_layers = {digest: self._layers_of(digest) for digest, _ in rows}
        users = Counter(layer for layers in all_layers.values() for layer in layers)
        for digest, created in rows:
            layers = all_layers[digest]
            names = images.names(Digest.parse(digest))
            size = sum(self._sizes.get(layer, 0) for layer in layers)
            shared = sum(self._sizes.get(layer, 0) for layer in layers if users[layer] > 1)
            active = ("image", digest) in self._marks
            into = named if names or digest in within else untagged
            said = ", ".join(names)
            into.append((Entry(digest, size, created or 0.0, active, said, shared), layers))
        return named, untagged

    def _layers_of(self, image: str) -> set[str]:
        try:
            return set(ImageStore(self._root).glance(Digest.parse(image)).diff_ids)
        except (StoreError, ImageError, ValueError):
            return set()

    def _usage(self, kind: str, found: list[_Layered], *, free: bool = True) -> Usage:
        """Return a type whose things have layers, and count those that no type before has."""
        every = _union(found) - self._counted
        kept = [(entry, layers) for entry, layers in found if self._wanted(kind, entry)]
        mine = _union(kept) - self._counted
        size = self._disk.size(mine, self._counted)
        self._counted |= every
        entries = tuple(entry for entry, _ in kept)
        return Usage(kind, entries, size, self._free(mine, every) if free else 0)

    def _free(self, mine: set[str], every: set[str]) -> int:
        """Return what the removal of `mine` gives back besides that of the types before.

        To these belong `every` one from now on.
        """
        before = self._disk.free(self._going)
        gained = self._disk.free(self._going | self._removable(mine)) - before
        self._going |= self._removable(every)
        return gained

    def _removable(self, layers: set[str]) -> set[str]:
        return {one for one in layers if ("layer", one) not in self._marks}

    def _steps(self, named: set[str], untagged: set[str]) -> Usage:
        """Return the results of steps that no image has."""
        found: list[_Layered] = []
        texts = self._instructions()
        for key, diff_id, used in self._rows("SELECT key, diff_id, used FROM step"):
            if diff_id in named or diff_id in untagged:
                continue
            active = ("layer", diff_id) in self._marks
            size = self._sizes.get(diff_id, 0)
            entry = Entry(key, size, used or 0.0, active, texts.get(key, ""))
            found.append((entry, {diff_id}))
        return self._usage("step", found)

    def _others(self) -> Usage:
        """Return layers that no image and no step has: of containers, and what is left over."""
        names = {f"sha256:{name}" for name in _names(self._root.path("layers"))} - self._counted
        found: list[_Layered] = []
        for name in sorted(names):
            size, used = self._disk.size({name}), self._used.get(name) or 0.0
            found.append((Entry(name, size, used, ("layer", name) in self._marks), {name}))
        return self._usage("layer", found)

    def _plain(
        self, kind: str, found: Iterable[Entry], free: Callable[[Entry], bool] = lambda _: False
    ) -> Usage:
        """Return a type whose things share nothing; `free` says what a `prune` takes away."""
        entries = tuple(entry for entry in found if self._wanted(kind, entry))
        gained = sum(entry.size for entry in entries if free(entry))
        return Usage(kind, entries, sum(entry.size for entry in entries), gained)

    def _containers(self) -> Usage:
        entries = []
        for name in _names(self._root.path("containers")):
            path = self._root.path("containers", name)
            with contextlib.suppress(OSError):
                entries.append(
                    Entry(name, tree_size(path), os.stat(path).st_mtime, not is_free(path))
                )
        return self._plain("container", entries)

    def _volumes(self) -> Usage:
        entries = []
        for name in _names(self._root.path("volumes"), hexadecimal=False):
            path = self._root.path("volumes", name)
            with contextlib.suppress(OSError):
                entries.append(Entry(name, tree_size(path), os.stat(path).st_mtime, active=False))
        return self._plain("volume", entries)

    def _instructions(self) -> dict[CacheKey, str]:
        """Return what steps do, by key, as far as recent builds tell."""
        builds = RecordStore(self._root).recent()
        return {
            CacheKey(step.key): instruction(step.name)
            for build in builds
            for step in build.steps
            if step.key
        }

    def _blobs(self) -> Usage:
        """Return configs, manifests and compressed layers; the last can be made again."""
        blobs = LocalBlobStore(self._root)
        again = {row[0] for row in self._rows("SELECT digest FROM blob_form WHERE compressor<>''")}
        entries = []
        for digest in blobs:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(blobs.path(digest))
                active = ("blob", digest) in self._marks
                what = "compressed layer" if digest in again else ""
                entries.append(Entry(digest, found.st_size, found.st_atime, active, what))
        return self._plain("blob", entries, lambda one: bool(one.description) and not one.active)

    def _directories(self, kind: str, what: str, directory: str) -> Usage:
        entries = []
        for name in sorted(os.listdir(directory)):
            path = f"{directory}/{name}"
            with contextlib.suppress(FileNotFoundError):
                active = (kind, name.partition("-")[0]) in self._marks
                entries.append(Entry(name, tree_size(path), os.stat(path).st_mtime, active, what))
        return self._plain(kind, entries, lambda one: not one.active)

    def _files(self, kind: str, part: str) -> Usage:
        entries = []
        with os.scandir(self._root.path(part)) as found:
            for one in found:
                with contextlib.suppress(FileNotFoundError):
                    status = one.stat(follow_symlinks=False)
                    entries.append(Entry(one.name, status.st_size, status.st_mtime, active=False))
        return self._plain(kind, entries, lambda _: kind == "context")

    def _database(self) -> Usage:
        entries = []
        database = self._root.database_path
        # The reserve is what lets the database be written on a full disk.
        for path in (database, f"{database}-wal", f"{database}-shm", self._root.path("reserve")):
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(path)
                name = os.path.basename(path)
                entries.append(Entry(name, found.st_blocks * 512, time.time(), active=True))
        return self._plain("database", entries)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._root.reading():
            return self._root.database().execute(query).fetchall()


def _union(found: Iterable[_Layered]) -> set[str]:
    """Return the layers of all."""
    return {layer for _, layers in found for layer in layers}


def _names(directory: str, *, hexadecimal: bool = True) -> list[str]:
    """Return the names in a directory, none where there is none; `hexadecimal`: digests alone."""
    try:
        found = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(one for one in found if not hexadecimal or re.fullmatch(r"[0-9a-f]{64}", one))
