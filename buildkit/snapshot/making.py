"""Making layers: from an upper directory, from a tar of somebody else, and back to a tar.

In: what `OverlayStore` hands on. Out: layers under their final names, tars, listings. Imported when
something is made; a build that finds all in its cache makes nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice

from buildkit.content.streams import Reader, Sink
from buildkit.errors import ImageError, StoreError
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.snapshot import rootdir
from buildkit.snapshot.commit import Packed, is_layer, pack_upper
from buildkit.snapshot.foreign import unpack_foreign
from buildkit.snapshot.hashing import HashingSink
from buildkit.snapshot.layer import meant_times, pack_directory, pack_without_times
from buildkit.snapshot.layers import LayerRecord, Layers, is_in_pieces, make_sign
from buildkit.snapshot.layout import PIECES
from buildkit.snapshot.listing import listing
from buildkit.snapshot.marks import seen_in
from buildkit.snapshot.piece_writer import NewItems, digest_with_times, write_pieces
from buildkit.snapshot.pieces import Index, pack_pieces, read_index
from buildkit.snapshot.snapshot import Active, Change, ChangeKind, Committed, Snapshot
from buildkit.snapshot.stacks import Stacks
from buildkit.snapshot.store import Candidates
from buildkit.snapshot.watch import Watch
from buildkit.state.root import StateRoot
from buildkit.tree.descent import opened
from buildkit.tree.entry import text
from buildkit.tree.walk import outline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


_Times: TypeAlias = Iterator[tuple[bytes, int]]
"""Paths in the order of a tar, with times in ns."""


class Maker:
    """Makes the layers of one `OverlayStore`; what its methods promise is in `store.py`."""

    def __init__(self, root: StateRoot, layers: Layers, stacks: Stacks) -> None:
        self._root = root
        self._layers = layers
        self._stacks = stacks
        self._seed: int | None = None

    def commit(
        self,
        active: Active,
        candidates: Candidates | None,
        clamp: int | None,
        watch: Watch | None = None,
        since: int | None = None,
    ) -> Committed:
        """Turn the upper of `active` into a layer, or find that it is an earlier one."""
        meant = None if since is None else meant_times(since, time.time_ns(), clamp)
        with opened(active.upper) as fd:
            with_root = rootdir.read(fd) != self._stacks.root_of(active.parent)
            with self._below(fd, active.parent) as lower_fd:
                packed = pack_upper(
                    fd,
                    lower_fd,
                    seed=self._store_seed(),
                    clamp=clamp,
                    with_root=with_root,
                    watch=watch,
                )
            for earlier, created in self._eligible(candidates, packed, clamp):
                same = partial(is_layer, fd, earlier=earlier, meant=meant, with_root=with_root)
                if self._is_layer(packed, earlier, same, with_root=with_root):
                    packed = packed._replace(diff_id=earlier)
                    return _committed(active, packed, created, reused=True)
        created = _rfc3339(clamp)
        self._install(f"{active.directory}/layer", packed, created, with_root=with_root)
        return _committed(active, packed, created, reused=False)

    def commit_items(
        self,
        active: Active,
        new: NewItems,
        candidates: Candidates | None,
        clamp: int | None,
        watch: Watch | None,
    ) -> Committed:
        """Make a layer of items; the upper of `active` is not used."""
        directory = f"{active.directory}/layer"
        folder = f"{directory}/{PIECES}"
        written = write_pieces(
            folder,
            new.items,
            new.contents,
            seed=self._store_seed(),
            root=self._stacks.root_of(active.parent),
            earlier=self._earlier(new.earlier),
            watch=watch,
        )
        packed = Packed(
            diff_id=written.diff_id,
            size=written.size,
            files=len(new.items),
            fingerprint=written.fingerprint,
            changes=tuple(_changes(new)),
        )
        for earlier, created in self._eligible(candidates, packed, clamp):
            same = partial(_is_in_pieces, folder, earlier)
            if self._is_layer(packed, earlier, same, with_root=False):
                packed = packed._replace(diff_id=earlier)
                return _committed(active, packed, created, reused=True)
        os.rmdir(active.upper)
        created = _rfc3339(clamp)
        self._install(directory, packed, created, with_root=False)
        return _committed(active, packed, created, reused=False)

    def _earlier(self, diff_id: Digest | None) -> str | None:
        """Return the directory of a layer to take items from, if it is here as pieces."""
        if diff_id is None or not self._layers.has((diff_id,)):
            return None
        directory = self._layers.directory(diff_id)
        return directory if is_in_pieces(directory) else None

    def _eligible(
        self, candidates: Candidates | None, packed: Packed, clamp: int | None
    ) -> Iterator[tuple[Digest, str]]:
        """Yield those candidates whose times are such as this layer may have."""
        for earlier, created in () if candidates is None else candidates(packed.fingerprint):
            if clamp is None or created[:19] <= _rfc3339(clamp)[:19]:
                yield earlier, created

    def _is_layer(
        self,
        packed: Packed,
        earlier: Digest,
        is_same: Callable[[_Times], bool],
        *,
        with_root: bool,
    ) -> bool:
        """Whether what was packed is the layer `earlier` but for its times.

        `is_same` compares all else, given paths and times of that layer, first the root's.
        """
        if not self._layers.has((earlier,)) or self._layers.origin(earlier) != "packed":
            return False
        if earlier == packed.diff_id:
            return True
        if self._layers.has_sign(earlier, "root") != with_root:
            return False
        try:
            index = self._index(earlier)
        except StoreError:
            # It is damaged: nothing equals it, and nothing here needs it.
            return False
        if index is not None:
            items = ((one.path, one.mtime_ns) for one in index.all())
            # They do not tell of the root, which is not in the layer.
            return is_same(chain(iter([(b"", 0)]), items))
        with self._stacks.opened(earlier) as fd:
            return is_same((one.path, one.mtime_ns) for one, _ in outline(fd, seen_in(fd)))

    def unpack(self, layer: Reader, directory: str, expected: Digest | None) -> Digest:
        """Take a layer from a tar; `directory` is private and new."""
        foreign = unpack_foreign(layer, f"{directory}/layer")
        if expected is not None and foreign.diff_id != expected:
            raise ImageError(
                f"a layer is not what its image says: diff ID {expected} is announced, "
                f"{foreign.diff_id} came"
            )
        record = LayerRecord(
            diff_id=foreign.diff_id,
            size=foreign.size,
            files=foreign.files,
            fingerprint=Fingerprint(""),
            created=_rfc3339(None),
            origin="foreign",
        )
        self._layers.install(f"{directory}/layer", record)
        return foreign.diff_id

    def pack(self, diff_id: Digest, sink: Sink) -> int:
        """Write the tar of a layer that was packed here to `sink`; return its size."""
        if self._layers.origin(diff_id) != "packed":
            raise StoreError(f"layer {diff_id} was not packed here, its tar cannot be made")
        self._stacks.need((diff_id,))
        directory = self._layers.directory(diff_id)
        with HashingSink() as hashing:

            def both(block: bytes) -> None:
                hashing(block)
                sink(block)

            if is_in_pieces(directory):
                pack_pieces(directory, both)
            else:
                with self._stacks.opened(diff_id) as fd:
                    pack_directory(fd, both, with_root=self._layers.has_sign(diff_id, "root"))
            found = hashing.digest()
        if found != diff_id:
            raise StoreError(
                f"layer {diff_id} is damaged: its content is now {found}",
                hint="pybuild fsck --repair drops it, then build again",
            )
        return hashing.size

    def timeless(self, diff_id: Digest) -> Digest | None:
        """Return a digest of all in the layer but times; None for one from elsewhere."""
        if self._layers.origin(diff_id) != "packed":
            return None
        index = self._index(diff_id)
        if index is not None:
            folder = f"{self._layers.directory(diff_id)}/{PIECES}"
            return digest_with_times(folder, ((one.path, 0) for one in index.all()))
        with HashingSink() as hashing, self._stacks.opened(diff_id) as fd:
            pack_without_times(fd, hashing, with_root=self._layers.has_sign(diff_id, "root"))
            return hashing.digest()

    def times(self, diff_id: Digest) -> Iterator[tuple[str, int]]:
        """Yield paths and times of what the layer holds."""
        index = self._index(diff_id)
        if index is not None:
            yield from ((text(one.path), one.mtime_ns) for one in index.all())
            return
        with self._stacks.opened(diff_id) as fd:
            yield from ((text(one.path), one.mtime_ns) for one, _ in outline(fd) if one.path)

    def changes(self, diff_id: Digest) -> tuple[Change, ...]:
        """Return what the layer holds."""
        index = self._index(diff_id)
        if index is not None:
            return tuple(Change(text(one.path), "added", one.size) for one in index.all())
        with self._stacks.opened(diff_id) as fd:
            return tuple(listing(fd, with_root=self._layers.has_sign(diff_id, "root")))

    def _index(self, diff_id: Digest) -> Index | None:
        """Return what is in a layer that is kept as its tar, None for another one."""
        self._stacks.need((diff_id,))
        directory = self._layers.directory(diff_id)
        with self._root.writing("layers"):
            return read_index(f"{directory}/{PIECES}") if is_in_pieces(directory) else None

    def _install(self, directory: str, packed: Packed, created: str, *, with_root: bool) -> None:
        if with_root:
            make_sign(directory, "root")
        record = LayerRecord(
            diff_id=packed.diff_id,
            size=packed.size,
            files=packed.files,
            fingerprint=packed.fingerprint,
            created=created,
            origin="packed",
        )
        self._layers.install(directory, record)

    @contextlib.contextmanager
    def _below(self, upper_fd: int, parent: Snapshot | None) -> Iterator[int | None]:
        """Give the tree below, None where there is none or nothing will be looked up in it."""
        if parent is None or not os.listdir(upper_fd):
            yield None
            return
        if self._stacks.is_whole(parent):
            view = self._stacks.view(parent)
        else:
            # Only what has a name in the upper is looked up.
            named = frozenset(entry.path for entry, _ in outline(upper_fd))
            view = self._stacks.partial_view(parent, named)
        with view as fd:
            yield fd

    def _store_seed(self) -> int:
        if self._seed is None:
            with self._root.reading():
                row = (
                    self._root.database()
                    .execute("SELECT value FROM store WHERE name='seed'")
                    .fetchone()
                )
            self._seed = int(row[0], 16)
        return self._seed


def _is_in_pieces(folder: str, earlier: Digest, times: _Times) -> bool:
    """Whether the tar in `folder`, with these times, is that of the layer `earlier`."""
    return digest_with_times(folder, islice(times, 1, None)) == earlier


def _changes(new: NewItems) -> Iterator[Change]:
    for item in new.items:
        kind: ChangeKind = "changed" if item.path in new.changed else "added"
        yield Change(text(item.path), kind, item.size)


def _committed(active: Active, packed: Packed, created: str, *, reused: bool) -> Committed:
    return Committed(
        snapshot=Snapshot.on(active.parent, packed.diff_id),
        diff_id=packed.diff_id,
        created=created,
        reused=reused,
        fingerprint=packed.fingerprint,
        size=packed.size,
        changes=packed.changes,
    )


def _rfc3339(clamp: int | None) -> str:
    """Return the time now, or `clamp` if that is earlier, to the microsecond."""
    now = time.time()
    if clamp is not None and clamp < now:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clamp))
    seconds, rest = divmod(int(now * 1_000_000), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"
