"""What the store is full of, by type.

In: a state root. Out: one `Usage` a type, each with its entries. Layers count as the tars that they
are, as `prune` counts them; everything else as the bytes of its files. Looks, and changes
nothing but what dead commands have left.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from typing import Any

from buildkit.cache.key import CacheKey
from buildkit.content.local import LocalBlobStore
from buildkit.errors import ImageError, StoreError
from buildkit.images import ImageStore
from buildkit.oci.digest import Digest
from buildkit.records.match import instruction
from buildkit.records.store import RecordStore
from buildkit.state.lease import collect_stale, in_use
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple


class Entry(NamedTuple):
    """One thing: `used` is when it was last used, in seconds since the epoch, 0 if unknown."""

    name: str
    size: int
    used: float
    active: bool
    description: str = ""


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


def usage(root: StateRoot) -> tuple[Usage, ...]:
    """Return what there is, by type."""
    return _Looking(root).all()


class _Looking:
    def __init__(self, root: StateRoot) -> None:
        self._root = root
        collect_stale(root.top)  # what the dead have marked is nobody's
        self._marks = in_use(root.top)
        self._sizes: dict[str, int] = dict(self._rows("SELECT diff_id, size FROM layer"))
        self._used: dict[str, float] = dict(self._rows("SELECT diff_id, used FROM layer"))

    def all(self) -> tuple[Usage, ...]:
        named, untagged = self._images()
        return (
            self._usage("image", named[0], named[1], frozenset()),
            self._steps(named[1], untagged[1]),
            self._usage("untagged image", untagged[0], untagged[1] - named[1], named[1]),
            self._blobs(),
            self._directories("cache", "cache mount", self._root.path("caches")),
            self._files("context", "contexts"),
            self._files("log", "logs"),
            self._database(),
        )

    def _images(self) -> tuple[tuple[list[Entry], set[str]], tuple[list[Entry], set[str]]]:
        """Return the images with and without a name, each with the layers they need."""
        images = ImageStore(self._root)
        indexes = images.indexes()
        within = {part.image for parts in indexes.values() for part in parts}
        named: tuple[list[Entry], set[str]] = ([], set())
        untagged: tuple[list[Entry], set[str]] = ([], set())
        for digest, created in self._rows("SELECT config, created FROM known_image"):
            try:
                layers = set(images.glance(Digest.parse(digest)).diff_ids)
            except (StoreError, ImageError, ValueError):
                layers = set()
            names = images.names(Digest.parse(digest))
            size = sum(self._sizes.get(layer, 0) for layer in layers)
            active = ("image", digest) in self._marks
            into = named if names or digest in within else untagged
            into[0].append(Entry(digest, size, created or 0.0, active, ", ".join(names)))
            into[1].update(layers)
        return named, untagged

    def _usage(
        self, kind: str, entries: Iterable[Entry], layers: set[str], kept: Iterable[str]
    ) -> Usage:
        """Return a type whose things share `layers`; those of named images are not reclaimable."""
        size = sum(self._sizes.get(layer, 0) for layer in layers)
        free = 0 if kind == "image" else self._free(layers - set(kept))
        return Usage(kind, tuple(entries), size, free)

    def _free(self, layers: Iterable[str]) -> int:
        return sum(
            self._sizes.get(layer, 0) for layer in layers if ("layer", layer) not in self._marks
        )

    def _steps(self, named: set[str], untagged: set[str]) -> Usage:
        """Return the results of steps that no image has."""
        entries = []
        layers: set[str] = set()
        texts = self._instructions()
        for key, diff_id, used in self._rows("SELECT key, diff_id, used FROM step"):
            if diff_id in named or diff_id in untagged:
                continue
            layers.add(diff_id)
            active = ("layer", diff_id) in self._marks
            size = self._sizes.get(diff_id, 0)
            entries.append(Entry(key, size, used or 0.0, active, texts.get(key, "")))
        size = sum(self._sizes.get(layer, 0) for layer in layers)
        return Usage("step", tuple(entries), size, self._free(layers))

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
        free = 0
        for digest in blobs:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(blobs.path(digest))
                active = ("blob", digest) in self._marks
                what = "compressed layer" if digest in again else ""
                entries.append(Entry(digest, found.st_size, found.st_atime, active, what))
                free += found.st_size if what and not active else 0
        return Usage("blob", tuple(entries), sum(entry.size for entry in entries), free)

    def _directories(self, kind: str, what: str, directory: str) -> Usage:
        entries = []
        for name in sorted(os.listdir(directory)):
            path = f"{directory}/{name}"
            with contextlib.suppress(FileNotFoundError):
                active = (kind, name.partition("-")[0]) in self._marks
                entries.append(Entry(name, tree_size(path), os.stat(path).st_mtime, active, what))
        free = sum(entry.size for entry in entries if not entry.active)
        return Usage(kind, tuple(entries), sum(entry.size for entry in entries), free)

    def _files(self, kind: str, part: str) -> Usage:
        entries = []
        with os.scandir(self._root.path(part)) as found:
            for one in found:
                with contextlib.suppress(FileNotFoundError):
                    status = one.stat(follow_symlinks=False)
                    entries.append(Entry(one.name, status.st_size, status.st_mtime, active=False))
        size = sum(entry.size for entry in entries)
        return Usage(kind, tuple(entries), size, size if kind == "context" else 0)

    def _database(self) -> Usage:
        entries = []
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                path = f"{self._root.database_path}{suffix}"
                found = os.stat(path)
                name = os.path.basename(path)
                entries.append(Entry(name, found.st_size, time.time(), active=True))
        return Usage("database", tuple(entries), sum(entry.size for entry in entries), 0)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._root.reading():
            return self._root.database().execute(query).fetchall()


def tree_size(path: str) -> int:
    """Return the bytes that a tree takes on the disk; hard links count once."""
    seen: set[tuple[int, int]] = set()
    return sum(_blocks(status, seen) for status in _statuses(path))


def _statuses(path: str) -> Iterator[os.stat_result]:
    """Yield the status of all that is in a tree, whose names may change meanwhile."""
    todo = [path]
    while todo:
        try:
            entries = os.scandir(todo.pop())
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)


def _blocks(status: os.stat_result, seen: set[tuple[int, int]]) -> int:
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        name = (status.st_dev, status.st_ino)
        if name in seen:
            return 0
        seen.add(name)
    return status.st_blocks * 512
