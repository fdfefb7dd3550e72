"""Collection: takes away what nothing needs.

In: a policy. Out: what was removed. Kept is what running commands have marked (`state/lease.py`),
every image with a name, and what those need; the policy says which steps of earlier builds stay
besides. Rows go before files, so a kill in between leaves files that nobody knows, which go the
next time. Files are renamed into `tmp/` under the locks and removed after them: the locks are held
for moments. Works on a full disk: the root keeps a little space back for this. Guarantee R5.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence

from buildkit.attestation import kept as attestations
from buildkit.cache.key import CacheKey
from buildkit.cache.local import LocalCacheStore
from buildkit.content.local import LocalBlobStore
from buildkit.content.roots import named_by
from buildkit.errors import ImageError, StoreError
from buildkit.images import ImageStore
from buildkit.oci.chain import chain_ids
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.records.store import RecordStore
from buildkit.snapshot.disk import LayerDisk
from buildkit.snapshot.layers import is_in_pieces
from buildkit.state.lease import in_use
from buildkit.state.locks import exclusive
from buildkit.state.removal import remove_tree
from buildkit.state.root import StateRoot
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


KINDS = frozenset({"image", "step", "cache", "blob", "context"})
"""Images without a name; results of steps; cache mounts; compressed layers; stat caches."""


class Policy(NamedTuple):
    """What may go besides what is of no use to anyone.

    `steps`: results of earlier steps, "none", "unneeded" by an image with a name, or "all" (then
    also directories of cache mounts, compressed forms of layers, and what is remembered of
    contexts). `older_than`: only what was last used so many seconds ago. `untagged`: images without
    a name. `kinds` limits all this to some of `KINDS`.

    Of steps no more go than is needed so that layers and blobs take no more than `max_bytes` and
    `min_free` bytes of the disk are free (None: no such wish; without both all go), and none once
    they take no more than `reserved`.
    """

    steps: str = "unneeded"
    older_than: float = 0.0
    max_bytes: int | None = None
    untagged: bool = True
    kinds: frozenset[str] = KINDS
    min_free: int | None = None
    reserved: int = 0


class Pruned(NamedTuple):
    """What went: digests of images, diff IDs of layers, digests of blobs, and numbers of the rest.

    `size`: bytes that the disk has got back; of a file that what stays has, too, none.
    """

    images: tuple[Digest, ...]
    layers: tuple[Digest, ...]
    blobs: tuple[Digest, ...]
    steps: int
    caches: int
    leftovers: int
    size: int


class _Step(NamedTuple):
    key: CacheKey
    diff_id: str
    used: float


def prune(root: StateRoot, policy: Policy = Policy()) -> Pruned:  # noqa: B008 - a value
    """Remove what `policy` allows and what is nobody's."""
    root.spend_reserve()
    try:
        trash = root.tmp()
        with root.lease.collecting(), exclusive(root, "layers"):
            pruned = _Collection(root, policy, trash).run()
        going = [(name, f"{trash}/{name}") for name in os.listdir(trash)]
        freed = LayerDisk(going).free([name for name, _ in going])
        with root.writing("tmp"):
            remove_tree(trash)
        pruned = pruned._replace(size=pruned.size + freed)
        RecordStore(root).collect_logs()
        return pruned
    finally:
        root.keep_reserve()


class _Collection:
    """One run, under the locks."""

    def __init__(self, root: StateRoot, policy: Policy, trash: str) -> None:
        self._root = root
        self._policy = policy
        self._trash = trash
        self._now = time.time()
        self._images = ImageStore(root)
        self._blobs = LocalBlobStore(root)
        self._indexes = self._images.indexes()
        marks = in_use(root.top)
        self._marked = {
            kind: {name for found, name in marks if found == kind}
            for kind in ("image", "layer", "blob", "cache")
        }

    def run(self) -> Pruned:
        images = self._untagged() if self._may("image") and self._policy.untagged else ()
        live = self._live(images)
        needed = set(self._marked["layer"])
        for config in live.values():
            needed.update(() if config is None else config.diff_ids)
        steps = self._steps(needed)
        gone = {step.key for step in steps}
        kept = needed | {step.diff_id for step in self._all_steps() if step.key not in gone}
        layers = self._layers(kept)
        with self._root.transaction() as database:
            database.executemany(
                "DELETE FROM known_image WHERE config=?", [(image,) for image in images]
            )
        LocalCacheStore(self._root).remove(gone)
        self._drop_layers(layers)
        self._forget_selections(live.values())
        blobs, blob_size = self._drop_blobs(live)
        self._drop_contexts()
        return Pruned(
            images=images,
            layers=tuple(layers),
            blobs=blobs,
            steps=len(gone),
            caches=self._drop_caches(),
            leftovers=self._drop_leftovers(kept),
            size=blob_size,  # the rest when it goes
        )

    def _untagged(self) -> tuple[Digest, ...]:
        rows = self._rows(
            "SELECT config FROM known_image WHERE created<=?"
            " AND config NOT IN (SELECT config FROM image)",
            self._now - self._policy.older_than,
        )
        found = {digest for digest in _digests(rows) if digest not in self._marked["image"]}
        for index, parts in self._indexes.items():
            if index not in found:
                found.difference_update(part.image for part in parts)
        return tuple(sorted(found))

    def _live(self, gone: Iterable[Digest]) -> dict[Digest, ImageConfig | None]:
        """Return the images that stay; None for a config that cannot be read any more."""
        found: dict[Digest, ImageConfig | None] = {}
        known = set(_digests(self._rows("SELECT config FROM known_image")))
        known.update(_digests((name,) for name in self._marked["image"]))
        for image in known.difference(gone):
            if image in self._indexes:
                found[image] = None  # no layers of its own
                continue
            try:
                # Under the locks nothing has to be marked; on a full disk nothing could be, and all
                # images would seem to be damaged.
                found[image] = self._images.glance(image)
            except (StoreError, ImageError):
                found[image] = None
        return found

    def _all_steps(self) -> list[_Step]:
        rows = self._rows("SELECT key, diff_id, used FROM step ORDER BY used")
        return [_Step(CacheKey(key), diff_id, used or 0.0) for key, diff_id, used in rows]

    def _steps(self, needed: set[str]) -> list[_Step]:
        """Return the steps to forget, the longest unused first."""
        policy = self._policy
        if policy.steps == "none" or not self._may("step"):
            return []
        limit = self._now - policy.older_than
        found = [
            step
            for step in self._all_steps()
            if step.used <= limit
            and step.diff_id not in self._marked["layer"]
            and (policy.steps == "all" or step.diff_id not in needed)
        ]
        if policy.max_bytes is None and policy.min_free is None and not policy.reserved:
            return found
        return self._as_needed(found, needed)

    def _as_needed(self, steps: list[_Step], needed: set[str]) -> list[_Step]:
        """Return as many of `steps` as have to go for the space that is wanted.

        A layer goes with the last step that has it.
        """
        sizes = dict(self._rows("SELECT diff_id, size FROM layer"))
        users: dict[str, int] = {}
        for step in self._all_steps():
            users[step.diff_id] = users.get(step.diff_id, 0) + 1
        excess = self._excess(sum(sizes.values()) + self._size_of_blobs())
        found: list[_Step] = []
        for step in steps:
            if excess <= 0:
                break
            found.append(step)
            users[step.diff_id] -= 1
            if step.diff_id not in needed and not users[step.diff_id]:
                excess -= sizes.pop(step.diff_id, 0)
        return found

    def _excess(self, used: int) -> int:
        """Return how many bytes should go."""
        policy = self._policy
        excess = used if policy.max_bytes is None and policy.min_free is None else 0
        if policy.max_bytes is not None:
            excess = used - policy.max_bytes
        if policy.min_free is not None:
            disk = os.statvfs(self._root.top)
            excess = max(excess, policy.min_free - disk.f_bavail * disk.f_frsize)
        return min(excess, used - policy.reserved)

    def _may(self, kind: str) -> bool:
        return kind in self._policy.kinds

    def _whole(self) -> bool:
        """Tell whether all of what is kept for speed alone may go."""
        policy = self._policy
        limits = (policy.max_bytes, policy.min_free, policy.reserved or None)
        return policy.steps == "all" and not any(limit is not None for limit in limits)

    def _size_of_blobs(self) -> int:
        with self._root.writing("blobs"), os.scandir(self._root.path("blobs", "sha256")) as found:
            return sum(entry.stat().st_size for entry in found)

    def _layers(self, kept: set[str]) -> list[Digest]:
        """Return the layers to drop; with them goes what a power cut made worthless."""
        known = self._rows("SELECT diff_id FROM layer")
        torn = self._rows(
            "SELECT diff_id FROM layer WHERE synced=0 AND boot_id<>?", self._root.boot_id
        )
        good = kept.difference(_digests(torn))
        return [digest for digest in _digests(known) if digest not in good]

    def _drop_layers(self, layers: Iterable[Digest]) -> None:
        with self._root.transaction() as database:
            for table in ("layer", "blob_form"):
                database.executemany(
                    f"DELETE FROM {table} WHERE diff_id=?",  # noqa: S608 - two fixed words
                    [(diff_id,) for diff_id in layers],
                )
            if self._policy.steps == "all" and self._may("blob"):
                # Forms that can be made again; those without a compressor came from elsewhere.
                database.execute("DELETE FROM blob_form WHERE compressor<>''")
        for diff_id in layers:
            self._throw_away(self._root.path("layers", diff_id.hex))
        if self._policy.steps == "all" and self._may("blob"):
            self._drop_trees()

    def _drop_trees(self) -> None:
        """Throw away the trees of layers that are kept as their tar, too."""
        for name in os.listdir(self._root.path("layers")):
            directory = self._root.path("layers", name)
            if f"sha256:{name}" not in self._marked["layer"] and is_in_pieces(directory):
                self._throw_away(f"{directory}/fs")

    def _forget_selections(self, configs: Iterable[ImageConfig | None]) -> None:
        """Forget what is remembered about snapshots that no longer are."""
        chains = {row[0] for row in self._rows("SELECT parent FROM step")}
        for config in configs:
            if config is not None:
                chains.update(chain_ids(config.diff_ids))
        known = self._rows("SELECT DISTINCT chain FROM snapshot_selection")
        with self._root.transaction() as database:
            database.executemany(
                "DELETE FROM snapshot_selection WHERE chain=?",
                [row for row in known if row[0] not in chains],
            )

    def _drop_blobs(self, live: Iterable[Digest]) -> tuple[tuple[Digest, ...], int]:
        kept = {*live, *self._marked["blob"]}
        kept.update(_digests(self._rows("SELECT digest FROM blob_form")))
        for manifest in _digests(self._rows("SELECT manifest FROM known_image")):
            kept |= named_by(self._blobs, manifest)
        kept.update(self._attestations(set(live)))
        dropped = []
        size = 0
        for digest in self._blobs:
            if digest not in kept:
                size += os.stat(self._blobs.path(digest)).st_blocks * 512
                self._blobs.remove(digest)
                dropped.append(digest)
        return tuple(sorted(dropped)), size

    def _attestations(self, live: set[Digest]) -> list[Digest]:
        """Return the statements about images that stay; those about others are forgotten."""
        known = attestations.kept(self._root)
        gone = [one for one in known if one.image not in live]
        if gone:
            attestations.forget(self._root, gone)
        return [one.statement for one in known if one.image in live]

    def _drop_caches(self) -> int:
        """Throw away directories of cache mounts, which are named by hex and perhaps `-N`."""
        if not self._may("cache") or not self._whole():
            return 0
        dropped = 0
        for name in os.listdir(self._root.path("caches")):
            path = self._root.path("caches", name)
            if name.partition("-")[0] in self._marked["cache"]:
                continue
            if os.stat(path).st_mtime <= self._now - self._policy.older_than:
                self._throw_away(path)
                dropped += 1
        return dropped

    def _drop_contexts(self) -> None:
        """Throw away what is remembered of contexts; the next build looks at them again."""
        if not self._may("context") or not self._whole():
            return
        for name in os.listdir(self._root.path("contexts")):
            path = self._root.path("contexts", name)
            # A build writes there without a lock, aside first: names come and go.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_mtime <= self._now - self._policy.older_than:
                    self._throw_away(path)

    def _drop_leftovers(self, kept: set[str]) -> int:
        """Throw away layer directories that no row tells of: their command died early."""
        known = {row[0] for row in self._rows("SELECT diff_id FROM layer")}
        dropped = 0
        for name in os.listdir(self._root.path("layers")):
            if f"sha256:{name}" not in known | kept:
                self._throw_away(self._root.path("layers", name))
                dropped += 1
        return dropped

    def _throw_away(self, path: str) -> None:
        with self._root.writing("tmp"), contextlib.suppress(FileNotFoundError):
            os.rename(path, f"{self._trash}/{os.urandom(8).hex()}")

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._root.reading():
            return self._root.database().execute(query, values).fetchall()


def _digests(rows: Iterable[Sequence[object]]) -> Iterator[Digest]:
    """Yield the digests in the first column; what is none, the database cannot mean."""
    for row in rows:
        with contextlib.suppress(ValueError):
            yield Digest.parse(str(row[0]))
