"""The layers of a state root: directories named by diff ID, and what is known about them.

`layers/<hex>/fs` is the upper directory of an overlay and never changes. Beside it stand signs,
small files: `root` (the attributes of `fs` itself are part of the layer) and `hides` (the layer
hides everything below it) are empty; `deletes` and `implied` name directories, each with a NUL
after it, that hold whiteouts and whose attributes are not part of the layer. These two only layers
from elsewhere have, and for their sake trees `on/<chain>/fs` (see `adapted.py`).

A large COPY is kept as its tar (`pieces.py`), in `tar/`, and `fs` is made when it is asked for. It
is trusted in the boot that made it, which `tar/boot` names, and made again in another one.

A layer is installed by one rename, its row follows. So a directory without a row is the work of
a command that died between the two; it is replaced. Layers are not synced one by one: a row has
the boot it was made in, and `synced` once a syncfs(2) came after it. A layer that was not synced
before the machine went down is not trusted (docs/store.md, "What is durable when").
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock  # `threading` itself is 1 ms for classes

from buildkit.errors import StoreError
from buildkit.oci.digest import Digest, Fingerprint
from buildkit.snapshot.layout import INDEX, PIECES, TREE
from buildkit.state.locks import exclusive
from buildkit.state.removal import remove_tree
from runtime import syscalls
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildkit.state.root import StateRoot


_FEW = 8
"""Layers that are synced one by one."""

_BOOT = "boot"
_SYNCED = "synced"
"""Stands there for a boot where none has a name."""

Sign = Literal["root", "hides", "deletes", "implied"]


class LayerRecord(NamedTuple):
    """What is known about a layer; `size` of its tar in bytes, `created` RFC 3339."""

    diff_id: Digest
    size: int
    files: int
    fingerprint: Fingerprint
    created: str
    origin: Literal["packed", "foreign"]


class Layers:
    """The layer directories below one state root. Any thread may use it."""

    def __init__(self, root: StateRoot) -> None:
        self._root = root
        self._found: set[Digest] = set()
        self._signs: dict[Digest, frozenset[str]] = {}
        self._trees: set[Digest] = set()
        self._covered: set[str] = set()
        self._making = allocate_lock()

    def directory(self, diff_id: Digest) -> str:
        """Return where the layer is, or would be."""
        return self._root.path("layers", diff_id.hex)

    def fs(self, diff_id: Digest) -> str:
        """Return the layer's tree, which is made where only its tar is kept. Raises StoreError."""
        directory = self.directory(diff_id)
        if diff_id not in self._trees:
            with self._making:
                if is_in_pieces(directory):
                    # Who found it as part of an image has marked that alone, and `prune --all`
                    # takes away the trees of layers that are not marked.
                    self._root.use("layer", diff_id)
                    if not has_tree(directory, self._root.boot_id):
                        self._make_tree(diff_id, directory)
                if os.path.isdir(f"{directory}/{TREE}"):
                    self._trees.add(diff_id)
        return f"{directory}/{TREE}"

    def lacks_tree(self, diff_id: Digest) -> bool:
        """Say whether `fs` would have to make the tree of the layer, which is here, first."""
        if diff_id in self._trees:
            return False
        directory = self.directory(diff_id)
        return is_in_pieces(directory) and not has_tree(directory, self._root.boot_id)

    def has(self, diff_ids: Iterable[Digest]) -> bool:
        """Mark the layers as in use, then say whether all are here and to be trusted."""
        new = set(diff_ids) - self._found
        if not new:
            return True
        self._root.use("layer", *new)
        for diff_id in new:
            if not self._is_trusted(diff_id):
                return False
            self._found.add(diff_id)
        return True

    def are_trusted(self, diff_ids: Iterable[Digest]) -> bool:
        """Say the same without marking: true only for the moment."""
        return all(self._is_trusted(diff_id) for diff_id in diff_ids)

    def origin(self, diff_id: Digest) -> str:
        """Return 'packed', 'foreign', or '' for a layer that is not here."""
        with self._root.reading():
            row = (
                self._root.database()
                .execute("SELECT origin FROM layer WHERE diff_id=?", (diff_id,))
                .fetchone()
            )
        return "" if row is None else str(row[0])

    def has_sign(self, diff_id: Digest, sign: Sign) -> bool:
        """Say whether a sign stands beside the layer's tree."""
        signs = self._signs.get(diff_id)
        if signs is None:
            with self._root.writing("layers"):
                signs = self._signs[diff_id] = frozenset(os.listdir(self.directory(diff_id)))
        return sign in signs

    def paths(self, diff_id: Digest, sign: Sign) -> tuple[bytes, ...]:
        """Return the paths that a sign names, none where it does not stand."""
        if not self.has_sign(diff_id, sign):
            return ()
        with (
            self._root.writing("layers"),
            open(f"{self.directory(diff_id)}/{sign}", "rb") as file,
        ):
            return tuple(file.read().split(b"\0")[:-1])

    def install(self, directory: str, record: LayerRecord) -> None:
        """Make the layer in `directory` (`fs` and signs) the one called `record.diff_id`.

        Where that layer is here already, nothing happens and `directory` stays with the caller.
        `directory` must lie below `tmp/`; what must not be trusted is moved beside it.
        """
        self._root.use("layer", record.diff_id)
        target = self.directory(record.diff_id)
        with exclusive(self._root, "layers"), self._root.writing(f"layers/{record.diff_id.hex}"):
            if self._is_trusted(record.diff_id):
                self._found.add(record.diff_id)
                return
            stale = f"{directory}.stale"
            if os.path.lexists(target):
                os.rename(target, stale)
            os.rename(directory, target)
            try:
                self._insert(record)
            except StoreError:
                # A full disk: it goes with what is left of this command, and not with a collection.
                os.rename(target, directory)
                raise
        self._found.add(record.diff_id)
        self._signs.pop(record.diff_id, None)
        self._trees.discard(record.diff_id)
        with self._root.writing("tmp"):
            remove_tree(stale)

    def sync(self, blob: str = "", *, is_new: bool = False) -> None:
        """Make all layers installed so far survive a power cut, and the blob with the path `blob`.

        Nothing happens when no layer is new, unless `is_new`, the blob. It is one syncfs(2): 0.3 ms
        when little is new, 10 ms for a thousand files, 0.2 s for 200 MB, and whatever others have
        written to the file system. So layers that are kept as their tar are synced by themselves.
        """
        database = self._root.database()
        boot = self._root.boot_id
        with self._root.reading():
            rows = database.execute(
                "SELECT diff_id FROM layer WHERE synced=0 AND boot_id=?", (boot,)
            ).fetchall()
        if not rows and not is_new:
            return
        directories = [self.directory(Digest.parse(diff_id)) for (diff_id,) in rows]
        with self._root.writing():
            if len(rows) > _FEW or not all(map(is_in_pieces, directories)):
                self._sync_all()
            else:
                try:
                    self._sync_files(directories, blob)
                except FileNotFoundError:
                    # A layer that nobody uses was collected meanwhile.
                    self._sync_all()
        if not rows:
            return
        with self._root.transaction() as transaction:
            # A layer may have been replaced meanwhile, but not by one of another boot.
            transaction.executemany(
                "UPDATE layer SET synced=1 WHERE diff_id=? AND boot_id=?",
                [(diff_id, boot) for (diff_id,) in rows],
            )

    def _sync_files(self, directories: Iterable[str], blob: str) -> None:
        """Sync the pieces of layers, and a blob; a tree beside them is not trusted for long."""
        for directory in directories:
            folder = f"{directory}/{PIECES}"
            for path in (*(f"{folder}/{name}" for name in os.listdir(folder)), folder, directory):
                _sync(path)
        if directories:
            _sync(self._root.path("layers"))
        if blob:
            _sync(blob)
            _sync(os.path.dirname(blob))

    def _sync_all(self) -> None:
        fd = os.open(self._root.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.syncfs(fd)
        finally:
            os.close(fd)

    def _is_trusted(self, diff_id: Digest) -> bool:
        with self._root.reading():
            row = (
                self._root.database()
                .execute("SELECT boot_id, synced FROM layer WHERE diff_id=?", (diff_id,))
                .fetchone()
            )
        if row is None or not (row[1] or (row[0] and row[0] == self._root.boot_id)):
            return False
        directory = self.directory(diff_id)
        return os.path.isdir(f"{directory}/{TREE}") or is_in_pieces(directory)

    def _make_tree(self, diff_id: Digest, directory: str) -> None:
        """Make the tree beside the pieces in `directory`."""
        # Most builds make no tree of pieces.
        from buildkit.snapshot.tree_of_pieces import make_tree

        made = self._root.tmp_if_writable()
        if made is None:
            with self._root.writing("layers"):
                self._cover(directory, (TREE, _BOOT))
                make_tree(directory, diff_id, f"{directory}/{TREE}")
                with open(f"{directory}/{PIECES}/{_BOOT}", "x", encoding="ascii") as file:
                    file.write(_SYNCED)
            return
        try:
            with self._root.writing("tmp"):
                make_tree(directory, diff_id, f"{made}/{TREE}")
                boot = self._root.boot_id
                if not boot:
                    self._sync_all()
                with open(f"{made}/{_BOOT}", "x", encoding="ascii") as file:
                    file.write(boot or _SYNCED)
            with exclusive(self._root, "layers"), self._root.writing(f"layers/{diff_id.hex}"):
                if not has_tree(directory, boot):
                    # So a tree of another boot never stands beside the name of this one.
                    if os.path.lexists(f"{directory}/{TREE}"):
                        os.rename(f"{directory}/{TREE}", f"{made}/stale")
                    os.rename(f"{made}/{_BOOT}", f"{directory}/{PIECES}/{_BOOT}")
                    os.rename(f"{made}/{TREE}", f"{directory}/{TREE}")
        finally:
            with self._root.writing("tmp"):
                remove_tree(made)

    def room(self, diff_id: Digest) -> str:
        """Return a new directory in which to make something for beside a layer's tree."""
        usual = self._root.tmp_if_writable()
        if usual is not None:
            return usual
        directory = self.directory(diff_id)
        with self._root.writing("layers"):
            self._cover(directory)
            made = f"{directory}/made"
            os.mkdir(made, 0o700)
        return made

    def place(self, diff_id: Digest, made: str, target: str) -> None:
        """Give what was made in its room its place beside the layer's tree, unless one is there."""
        if diff_id.hex in self._covered:
            os.rename(made, target)
            return
        with exclusive(self._root, "layers"):
            if not os.path.isdir(target):
                os.rename(made, target)

    def _cover(self, directory: str, without: tuple[str, ...] = ()) -> None:
        """Have room in memory for what cannot be written to the layer's directory."""
        from buildkit.snapshot.aside import cover  # for a state root that is read-only

        cover(directory, without)
        self._covered.add(os.path.basename(directory))

    def _insert(self, record: LayerRecord) -> None:
        with self._root.transaction() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO layer(diff_id, size, files, fingerprint, created, origin,"
                " boot_id, synced, used) VALUES(?, ?, ?, ?, ?, ?, ?, 0, ?)",
                (*record, self._root.boot_id, time.time()),
            )


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def is_in_pieces(directory: str) -> bool:
    """Say whether the layer in `directory` is kept as its tar; it may have its tree as well."""
    return os.path.isfile(f"{directory}/{PIECES}/{INDEX}")


def has_tree(directory: str, boot_id: str) -> bool:
    """Say whether the tree beside the pieces in `directory` is there and to be trusted."""
    try:
        with open(f"{directory}/{PIECES}/{_BOOT}", encoding="ascii") as file:
            made = file.read()
    except FileNotFoundError:
        return False
    return made in (_SYNCED, boot_id) and os.path.isdir(f"{directory}/{TREE}")


def make_sign(directory: str, sign: Sign, paths: Iterable[bytes] = ()) -> None:
    """Put a sign beside the tree of a layer that is not installed yet."""
    fd = os.open(f"{directory}/{sign}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(b"".join(path + b"\0" for path in paths))
