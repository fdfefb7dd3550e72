"""A cache in a directory: an OCI image layout whose manifests are caches, by tag.

In: a path. Out: a `CacheReader` and `CacheWriter`. Writers take turns by a lock on
`index.json.lock` while they exchange the index; blobs are renamed to their names when they are
whole and on the disk. Nothing is followed that is a link inside of the directory (guarantee S15).
Source: image-spec image-layout.md.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from buildkit.content.streams import Reader
from buildkit.errors import ImageError
from buildkit.exporter.destination import OutputError
from buildkit.exporter.workers import Check, in_parallel
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import encode
from buildkit.oci.index import REF_NAME, Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import MANIFESTS
from buildkit.remotecache.backend import Blob, Loaded, Make, Merge, layers_of
from buildkit.remotecache.document import CONFIG_TYPE, CacheDocument

_MAX_DOCUMENT = 8 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_INSIDE = _DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class DirectoryCache:
    """The cache called `tag` in the layout at `path`; `digest`: the manifest to read instead.

    `reset`: blobs that no manifest of the index names are removed when something is published.
    `damaged`: blobs that are to be written again though they are there.
    """

    def __init__(
        self,
        path: str,
        tag: str,
        digest: Digest | None = None,
        *,
        reset: bool = False,
        damaged: frozenset[Digest] = frozenset(),
    ) -> None:
        self.name = path
        self._tag = tag
        self._digest = digest
        self._reset = reset
        self._damaged = damaged

    def load(self) -> Loaded:
        """See `CacheReader`."""
        with self._explained("read"), _opened(self.name, _DIRECTORY) as top:
            digest = self._digest
            if digest is None:
                index = _index(top, self.name)
                found = None if index is None else self._tagged(index)
                if found is None:
                    raise ImageError(f"{self.name} holds no cache called {self._tag}")
                digest = found.digest
            with _blobs(top) as blobs:
                return self._loaded(blobs, digest)

    @contextlib.contextmanager
    def open(self, layer: Descriptor) -> Iterator[Reader]:
        """See `CacheReader`."""
        with self._explained("read"), _opened(self.name, _DIRECTORY) as top, _blobs(top) as blobs:
            fd = os.open(layer.digest.hex, _READ, dir_fd=blobs)
        try:
            yield _FileReader(fd, f"{self.name}: blob {layer.digest}")
        finally:
            os.close(fd)

    def write(self, makers: Sequence[Make], merge: Merge) -> Digest:
        """See `CacheWriter`."""
        with self._explained("written"), ExitStack() as stack:
            os.makedirs(self.name, exist_ok=True)
            top = stack.enter_context(_opened(self.name, _DIRECTORY))
            blobs = stack.enter_context(_blobs(top, make=True))
            # While somebody writes, nothing is swept away.
            writing = stack.enter_context(_locked(top, "blobs.lock", fcntl.LOCK_SH))

            def one(make: Make, check: Check) -> None:
                self._put(blobs, make(), check)

            in_parallel(one, makers)
            os.fsync(blobs)
            stack.enter_context(_locked(top, "index.json.lock", fcntl.LOCK_EX))
            digest, index = self._publish(top, blobs, merge)
            if self._reset:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(writing, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _sweep(blobs, index)
            return digest

    def _put(self, blobs: int, blob: Blob, check: Check) -> None:
        if blob.digest not in self._damaged and _size(blobs, blob.digest) == blob.size:
            return

        def checked() -> Iterator[bytes]:
            for block in blob.open(0):
                check()
                yield block

        _put(blobs, blob.digest.hex, checked())

    def _publish(self, top: int, blobs: int, merge: Merge) -> tuple[Digest, Index]:
        """Exchange the index, which is locked; return the manifest's digest and the index."""
        index = _index(top, self.name) or Index(())
        found = self._tagged(index)
        there = None if found is None else self._there(blobs, found.digest)
        made = merge(there)
        if made is None and there is not None:
            return there.digest, index
        assert made is not None
        for data in (made.config, made.manifest):
            _put(blobs, Digest.of(data).hex, (data,))
        written = Descriptor(
            made.media_type,
            Digest.of(made.manifest),
            len(made.manifest),
            annotations=((REF_NAME, self._tag),),
        )
        others = tuple(one for one in index.manifests if not self._is_tagged(one))
        index = index._replace(manifests=(*others, written))
        os.fsync(blobs)
        _put(top, "oci-layout", (encode({"imageLayoutVersion": "1.0.0"}),))
        _put(top, "index.json", (index.encode(),))
        os.fsync(top)
        return written.digest, index

    def _there(self, blobs: int, digest: Digest) -> Loaded | None:
        """Return what may be merged: with layers whose blobs are there; None if it is damaged."""
        try:
            found = self._loaded(blobs, digest)
        except (ImageError, OSError):
            return None
        layers = {
            diff_id: layer
            for diff_id, layer in found.layers.items()
            if _size(blobs, layer.digest) == layer.size
        }
        return found._replace(layers=layers)

    def _loaded(self, blobs: int, digest: Digest) -> Loaded:
        what = f"manifest {digest} in {self.name}"
        manifest = Manifest.parse(_read(blobs, digest, None, self.name), what)
        if manifest.config.media_type != CONFIG_TYPE:
            raise ImageError(f"{what} is no cache but {manifest.config.media_type[:80]!r}")
        data = _read(blobs, manifest.config.digest, manifest.config.size, self.name)
        document = CacheDocument.parse(data, f"config of the cache in {self.name}")
        return Loaded(digest, document, layers_of(manifest, document, what))

    def _tagged(self, index: Index) -> Descriptor | None:
        return next((one for one in index.manifests if self._is_tagged(one)), None)

    def _is_tagged(self, descriptor: Descriptor) -> bool:
        return dict(descriptor.annotations).get(REF_NAME) == self._tag

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn what the kernel says in the block into an error of ours."""
        try:
            yield
        except FileNotFoundError as error:
            what = error.filename if isinstance(error.filename, str) else ""
            missing = f"no {what}" if what and what != self.name else "nothing there"
            raise ImageError(f"{self.name}: {missing}") from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            if error.errno == errno.ELOOP or error.errno == errno.ENOTDIR:
                reason = f"{reason} (links in it are not followed)"
            raise OutputError(f"{self.name} cannot be {doing}: {reason}") from error


class _FileReader:
    """Reads a file; what the kernel says becomes ImageError."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        try:
            return os.read(self._fd, size)
        except OSError as error:
            raise ImageError(f"{self._what}: {(error.strerror or '').lower()}") from error


def _index(top: int, name: str) -> Index | None:
    """Return the layout's index; None where there is none. Raises ImageError."""
    try:
        fd = os.open("index.json", _READ, dir_fd=top)
    except FileNotFoundError:
        return None
    return Index.parse(_whole(fd, f"{name}/index.json"), f"{name}/index.json")


def _read(blobs: int, digest: Digest, size: int | None, name: str) -> bytes:
    """Return a small blob, verified. Raises ImageError, OSError."""
    data = _whole(os.open(digest.hex, _READ, dir_fd=blobs), f"{name}: blob {digest}")
    if Digest.of(data) != digest or (size is not None and len(data) != size):
        raise ImageError(f"{name}: blob {digest} is damaged")
    return data


def _whole(fd: int, what: str) -> bytes:
    """Return what is in the file `fd`, and close it."""
    with open(fd, "rb") as file:
        data = file.read(_MAX_DOCUMENT + 1)
    if len(data) > _MAX_DOCUMENT:
        raise ImageError(f"{what}: larger than {_MAX_DOCUMENT >> 20} MiB")
    return data


def _put(directory: int, name: str, blocks: Iterable[bytes]) -> None:
    """Make the file `name` hold `blocks`, wholly and on the disk, or not at all."""
    temporary = f".{name[:16]}.{os.urandom(6).hex()}"
    fd = os.open(temporary, _NEW, 0o666, dir_fd=directory)
    try:
        try:
            for block in blocks:
                view = memoryview(block)
                while view:
                    view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def _sweep(blobs: int, index: Index) -> None:
    """Remove blobs that nothing in the index leads to."""
    kept: set[str] = set()
    for descriptor in index.manifests:
        kept.add(descriptor.digest.hex)
        if descriptor.media_type not in MANIFESTS:
            return  # an index in the index: not ours, so nothing is known to be nobody's
        with contextlib.suppress(ImageError, OSError):
            manifest = Manifest.parse(_read(blobs, descriptor.digest, None, ""))
            kept.update(one.digest.hex for one in (manifest.config, *manifest.layers))
    for name in os.listdir(blobs):
        if name not in kept and not name.startswith("."):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=blobs)


def _size(blobs: int, digest: Digest) -> int:
    """Return the size of a blob, -1 where it is not."""
    try:
        return os.stat(digest.hex, dir_fd=blobs, follow_symlinks=False).st_size
    except FileNotFoundError:
        return -1


@contextlib.contextmanager
def _locked(top: int, name: str, how: int) -> Iterator[int]:
    """Hold a lock of the layout; it ends with its holder."""
    fd = os.open(name, _LOCK, 0o666, dir_fd=top)
    try:
        fcntl.flock(fd, how)
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _blobs(top: int, *, make: bool = False) -> Iterator[int]:
    """Give the directory of blobs, on the way to which there is no link."""
    with ExitStack() as stack:
        found = top
        for part in ("blobs", "sha256"):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=found)
            found = stack.enter_context(_opened(part, _INSIDE, found))
        yield found


@contextlib.contextmanager
def _opened(path: str, flags: int, directory: int | None = None) -> Iterator[int]:
    fd = os.open(path, flags, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)
