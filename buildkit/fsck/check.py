"""Is the store sound, and if not, what is to be done.

In: a state root. Out: findings, none when all is well. Every blob is hashed, every row is held
against the files it speaks of and every file against the rows; `full` also holds the trees of
layers against their tars. Nothing is changed unless `repair` is given; then what is damaged is
made again from what is not, or dropped, so that the next check is clean and the next build or
pull makes good what is missing. Guarantee R3.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial

from buildkit.attestation import kept as attestations
from buildkit.content.local import LocalBlobStore
from buildkit.errors import BuildError, StoreError
from buildkit.exporter.attestation_manifests import entries_of
from buildkit.fsck.finding import Finding, Findings
from buildkit.fsck.rebuild import rebuild
from buildkit.fsck.trees import BlobTar, compare_with_blob, digest_of_layer, digest_of_tree
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.index_parts import parts_of
from buildkit.oci.manifest import Manifest
from buildkit.snapshot.foreign import unpack_foreign
from buildkit.snapshot.layers import has_tree, is_in_pieces
from buildkit.snapshot.layout import TREE
from buildkit.state.driver import sqlite3
from buildkit.state.lease import Lease, collect_stale, in_use, stale
from buildkit.state.locks import exclusive
from buildkit.state.removal import remove_tree
from buildkit.state.root import StateRoot
from buildkit.state.schema import UNKEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_MEANS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
"""What says that checking needs more than there is, and nothing about what is checked."""

_BLOB_GONE = "came from elsewhere and its blob is gone, so it could not be exported"
_TREE_DAMAGED = "has a directory with other content than its tar, which is whole"
_HALF_MADE = "is left of a command that died: a layer from elsewhere without its blob"
_HEX = frozenset("0123456789abcdef")
_CHUNK = 1 << 20


def fsck(root: StateRoot, *, full: bool = False, repair: bool = False) -> tuple[Finding, ...]:
    """Check, and with `repair` put right, what is in the store. Call it before anything else."""
    findings = Findings(repair=repair)
    if root.mended:
        findings.add("format", "was damaged", lambda: None)
    for name in stale(root.top):
        findings.add(f"tmp/{name}", "is left of a command that died", lambda: None)
    if repair:
        collect_stale(root.top)
    with contextlib.ExitStack() as stack:
        if repair:
            stack.enter_context(root.lease.collecting())
        try:
            stack.enter_context(exclusive(root, "layers"))
        except StoreError as error:
            # Where nothing can be written, nothing changes under us from here either.
            if repair or not isinstance(error.__cause__, OSError):
                raise
            if error.__cause__.errno != errno.EROFS:
                raise
        if _check_database(root, findings):
            _Check(root, findings, full=full).run()
    return tuple(findings.found)


def _check_database(root: StateRoot, findings: Findings) -> bool:
    """Return whether there is a database to go on with."""
    try:
        rows = root.database().execute("PRAGMA integrity_check(1)").fetchall()
        problem = "" if rows == [("ok",)] else str(rows[0][0])
    except (StoreError, sqlite3.DatabaseError) as error:
        cause = error.__cause__ if isinstance(error, StoreError) else error
        # Of another version, locked, or on a full disk is not damaged.
        if not isinstance(cause, sqlite3.DatabaseError) or isinstance(
            cause, sqlite3.OperationalError
        ):
            raise
        problem = str(error)
    if problem:
        findings.add(
            "state.db",
            f"is damaged, names of images and records of steps are lost: {problem}",
            lambda: rebuild(root),
        )
    return not problem or findings.repair


class _Check:
    """One run over blobs, layers, steps and images, in the order in which they need each other."""

    def __init__(self, root: StateRoot, findings: Findings, *, full: bool) -> None:
        self._root = root
        self._findings = findings
        self._full = full

    def run(self) -> None:
        self._blobs()
        self._forms()
        self._layers()
        self._steps()
        self._images()
        self._attestations()

    def _blobs(self) -> None:
        for name in sorted(os.listdir(self._root.path("blobs", "sha256"))):
            path = self._root.path("blobs", "sha256", name)
            if not _is_hex64(name):
                self._findings.add(f"blobs/sha256/{name}", "is no blob", _remover(path))
            elif not os.path.isfile(path) or os.path.islink(path):
                self._findings.add(f"blob sha256:{name}", "is no regular file", _remover(path))
            elif _sha256(path) != name:
                self._findings.add(
                    f"blob sha256:{name}", "has other content than its name says", _remover(path)
                )

    def _forms(self) -> None:
        for rowid, diff_id, digest, size in self._rows(
            "SELECT diff_id || compression || compressor, diff_id, digest, size FROM blob_form"
            " WHERE substr(compressor, 1, 1)<>?",  # those are held against when they are made
            UNKEPT,
        ):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self._blob(digest)).st_size == size:
                    continue
            self._findings.add(
                f"layer {diff_id}",
                f"has no blob {digest} of {size} bytes, which it should have",
                self._deleter(
                    "DELETE FROM blob_form WHERE diff_id || compression || compressor=?", rowid
                ),
            )

    def _layers(self) -> None:
        rows = self._rows("SELECT diff_id, origin, boot_id, synced FROM layer")
        for diff_id, origin, boot_id, synced in rows:
            problem = self._layer_problem(diff_id, origin)
            what = f"layer {diff_id}"
            if problem == _BLOB_GONE and not self._is_needed(diff_id):
                # A pull installs a layer before it keeps the blob, and was killed, or is about to.
                what = f"layers/{diff_id.removeprefix('sha256:')}"
                problem = "" if ("layer", diff_id) in in_use(self._root.top) else _HALF_MADE
            if problem in ("", _TREE_DAMAGED) and not synced and boot_id != self._root.boot_id:
                problem = "was not on disk when the machine went down"
            if problem == _TREE_DAMAGED:
                # It is made again when somebody wants to see it.
                tree = self._root.path("layers", diff_id.removeprefix("sha256:"), TREE)
                self._findings.add(what, problem, _remover(tree))
            elif problem:
                self._findings.add(what, problem, partial(self._mend_layer, diff_id))
        known = {row[0] for row in self._rows("SELECT diff_id FROM layer")}
        for name in sorted(os.listdir(self._root.path("layers"))):
            if f"sha256:{name}" not in known:
                self._findings.add(
                    f"layers/{name}",
                    "is a directory that no row tells of",
                    _remover(self._root.path("layers", name)),
                )

    def _is_needed(self, diff_id: str) -> bool:
        """Say whether an image or the result of a step has the layer."""
        if self._rows("SELECT 1 FROM step WHERE diff_id=?", diff_id):
            return True
        for (image,) in self._rows("SELECT config FROM known_image"):
            with contextlib.suppress(BuildError, OSError), open(self._blob(image), "rb") as file:
                if diff_id in ImageConfig.parse(file.read(9 << 20)).diff_ids:
                    return True
        return False

    def _layer_problem(self, diff_id: str, origin: str) -> str:
        """Return what is wrong with the layer, empty for nothing."""
        name = diff_id.removeprefix("sha256:")
        directory = self._root.path("layers", name)
        if not _is_hex64(name) or origin not in ("packed", "foreign"):
            return "has a row that makes no sense"
        if not os.path.isdir(f"{directory}/fs") and not is_in_pieces(directory):
            return "has no directory"
        blob = self._original(diff_id)
        if origin == "foreign" and not blob:
            return _BLOB_GONE
        if not self._full:
            return ""
        try:
            if origin == "packed":
                found, _ = digest_of_layer(directory)
                if found == diff_id and has_tree(directory, self._root.boot_id):
                    return "" if digest_of_tree(directory)[0] == diff_id else _TREE_DAMAGED
                return "" if found == diff_id else f"has another content now: {found}"
            with self._scratch() as scratch:
                difference = compare_with_blob(directory, blob, f"{scratch}/layer")
            return f"differs from its blob: {difference}" if difference else ""
        except (BuildError, OSError) as error:
            _check_means(error, f"layer {diff_id}")
            return f"cannot be read: {error}"

    def _mend_layer(self, diff_id: str) -> None:
        """Make the layer's directory again from its blob, or drop the layer."""
        name = diff_id.removeprefix("sha256:")
        if _is_hex64(name):
            blob = self._original(diff_id)
            remove_tree(self._root.path("layers", name))
            if blob and self._unpacked_again(name, blob):
                self._execute(
                    "UPDATE layer SET boot_id=?, synced=0, origin='foreign' WHERE diff_id=?",
                    self._root.boot_id,
                    diff_id,
                )
                return
        self._execute("DELETE FROM layer WHERE diff_id=?", diff_id)
        self._execute("DELETE FROM blob_form WHERE diff_id=?", diff_id)

    def _unpacked_again(self, name: str, blob: str) -> bool:
        with self._scratch() as scratch, BlobTar(blob) as tar:
            try:
                found = unpack_foreign(tar, f"{scratch}/layer")
            except BuildError:
                return False
            if found.diff_id.hex != name:
                return False
            os.rename(f"{scratch}/layer", self._root.path("layers", name))
            return True

    def _steps(self) -> None:
        for key, diff_id in self._rows(
            "SELECT key, diff_id FROM step WHERE diff_id NOT IN (SELECT diff_id FROM layer)"
        ):
            self._findings.add(
                f"step {key}",
                f"made layer {diff_id}, which is gone",
                self._deleter("DELETE FROM step WHERE key=?", key),
            )

    def _images(self) -> None:
        layers = {row[0] for row in self._rows("SELECT diff_id FROM layer")}
        for image, manifest in self._rows("SELECT config, manifest FROM known_image"):
            if image == manifest:
                problem = self._index_problem(image)
                self._index_attestations(image)
            else:
                problem = self._image_problem(image, layers)
            if problem:
                self._findings.add(f"image {image}", problem, partial(self._drop_image, image))
            elif manifest is not None and not os.path.exists(self._blob(manifest)):
                self._findings.add(
                    f"image {image}",
                    f"has lost the manifest {manifest} it came with",
                    self._deleter("UPDATE known_image SET manifest=NULL WHERE config=?", image),
                )
        for name, image in self._rows(
            "SELECT name, config FROM image WHERE config NOT IN (SELECT config FROM known_image)"
        ):
            self._findings.add(
                f"name {name}",
                f"stands for image {image}, which is not there",
                self._deleter("DELETE FROM image WHERE name=?", name),
            )

    def _attestations(self) -> None:
        for one in attestations.kept(self._root):
            if not os.path.exists(self._blob(one.statement)):
                self._findings.add(
                    f"image {one.image}",
                    f"has lost its {one.kind} {one.statement}",
                    partial(attestations.forget, self._root, (one,)),
                )

    def _image_problem(self, image: str, layers: set[str]) -> str:
        try:
            with open(self._blob(image), "rb") as file:
                config = ImageConfig.parse(file.read(9 << 20))
        except (FileNotFoundError, IsADirectoryError):
            return "has no config"
        except BuildError as error:
            return f"has a config that is none: {error}"
        missing = [diff_id for diff_id in config.diff_ids if diff_id not in layers]
        return f"lacks layer {missing[0]}" if missing else ""

    def _index_problem(self, index: str) -> str:
        try:
            parts = parts_of(Digest.parse(index), LocalBlobStore(self._root).glance)
        except (BuildError, OSError) as error:
            return f"is an index that cannot be read: {error}"
        known = {row[0] for row in self._rows("SELECT config FROM known_image")}
        missing = [part.image for part in parts if part.image not in known]
        if missing:
            return f"is an index that has lost image {missing[0]}"
        return "" if parts else "is an index that has lost its images"

    def _index_attestations(self, index: str) -> None:
        """Tell of attestations of an index of which a part is gone; they were whole when stored."""
        store = LocalBlobStore(self._root)
        with contextlib.suppress(BuildError, OSError):
            for entry in entries_of(Index.parse(store.glance(Digest.parse(index)))):
                path = self._blob(entry.digest)
                if not os.path.exists(path):
                    continue  # it was not taken along
                manifest = Manifest.parse(store.glance(entry.digest))
                named = (one.digest for one in (manifest.config, *manifest.layers))
                lost = next((one for one in named if not os.path.exists(self._blob(one))), None)
                if lost is not None:
                    self._findings.add(
                        f"image {index}",
                        f"has lost {lost} of its attestation {entry.digest}",
                        _remover(path),
                    )

    def _drop_image(self, image: str) -> None:
        self._execute("DELETE FROM image WHERE config=?", image)
        self._execute("DELETE FROM known_image WHERE config=?", image)

    def _original(self, diff_id: str) -> str:
        """Return the path of a blob that holds the layer, empty for none."""
        for (digest,) in self._rows("SELECT digest FROM blob_form WHERE diff_id=?", diff_id):
            path = self._blob(digest)
            if os.path.isfile(path):
                return path
        return ""

    def _blob(self, digest: str) -> str:
        name = digest.removeprefix("sha256:")
        return self._root.path("blobs", "sha256", name if _is_hex64(name) else "none")

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[str]:
        """Give a private directory without collecting anything on the way.

        Below TMPDIR when the state root cannot be written to.
        """
        try:
            lease = Lease.acquire(self._root.top)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            import tempfile  # random, shutil: for this case only

            with tempfile.TemporaryDirectory(prefix="pybuild-fsck-") as directory:
                yield directory
            return
        try:
            yield lease.directory()
        finally:
            lease.release()

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with self._root.reading():
            return self._root.database().execute(query, values).fetchall()

    def _execute(self, statement: str, *values: str) -> None:
        with self._root.transaction() as database:
            database.execute(statement, values)

    def _deleter(self, statement: str, *values: str) -> Callable[[], object]:
        return lambda: self._execute(statement, *values)


def _remover(path: str) -> Callable[[], object]:
    return lambda: remove_tree(path)


def _is_hex64(name: str) -> bool:
    return len(name) == 64 and _HEX.issuperset(name)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()


def _check_means(error: Exception, what: str) -> None:
    """Raise StoreError when `error` says that there is no room or no right to check `what`."""
    reasons = (error, error.__cause__, error.__context__)
    found = next((one for one in reasons if isinstance(one, OSError) and one.errno in _MEANS), None)
    if found is not None:
        raise StoreError(
            f"{what} cannot be checked: {(found.strerror or str(found)).lower()}",
            hint="free some space, or leave layers out with --quick",
        ) from error
