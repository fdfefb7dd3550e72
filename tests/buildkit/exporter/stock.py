"""A store with images made from trees as text, and what comes out of it."""

import importlib.util
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.archive.load import Loaded, load
from buildkit.archive.members import open_members
from buildkit.archive.take import Taker
from buildkit.content.local import LocalBlobStore
from buildkit.exporter.assemble import Entry, assemble
from buildkit.exporter.docker import write_docker
from buildkit.exporter.forms import Forms
from buildkit.exporter.oci import NamedImage, write_oci
from buildkit.exporter.tar_writer import TarWriter
from buildkit.images import ImageStore
from buildkit.oci.config import ContainerConfig
from buildkit.oci.media_types import Compression
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.snapshot.compression import compressor
from buildkit.snapshot.overlay import OverlayStore
from buildkit.snapshot.snapshot import Snapshot
from buildkit.state.root import StateRoot
from tests.trees import make_tree, read_tree

needs_zstd = pytest.mark.skipif(
    importlib.util.find_spec("zstandard") is None, reason="zstandard is not installed"
)
ZSTD = pytest.param("zstd", marks=needs_zstd)

PLATFORM = Platform("linux", "amd64")


class Stock(NamedTuple):
    """The stores of one state root."""

    root: StateRoot
    snapshots: OverlayStore
    blobs: LocalBlobStore
    forms: Forms
    images: ImageStore

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> "Iterator[Stock]":
        """Open the stores below `path`."""
        with StateRoot.open(str(path)) as root:
            snapshots = OverlayStore(root)
            blobs = LocalBlobStore(root)
            yield cls(root, snapshots, blobs, Forms(root, snapshots, blobs), ImageStore(root))
            snapshots.close()

    def image(self, *layers: tuple[str, ...], name: str = "app:1") -> NamedImage:
        """Make an image with a layer for each description of a tree."""
        snapshot: Snapshot | None = None
        entries = []
        for number, lines in enumerate(layers):
            active = self.snapshots.prepare(snapshot)
            make_tree(Path(active.upper), *lines)
            committed = self.snapshots.commit(active, clamp=1_000_000)
            snapshot = committed.snapshot
            entries.append(Entry(f"step {number}", committed.diff_id, "2020-01-01T00:00:00Z"))
        made = assemble(
            container=ContainerConfig(cmd=("sh",), env=("A=b",)), platform=PLATFORM, entries=entries
        )
        names = (Reference.parse(name),) if name else ()
        self.images.add(made.data, names)
        return NamedImage(made.config, made.data, made.digest, names)

    def oci(
        self, *images: NamedImage, compression: Compression = "gzip", force: bool = False
    ) -> bytes:
        """Return an OCI archive."""
        out: list[bytes] = []
        writer = TarWriter(out.append)
        write_oci(writer, images, self.forms, self.blobs, compressor(compression), force=force)
        writer.finish()
        return b"".join(out)

    def docker(self, *images: NamedImage, compression: Compression = "none") -> bytes:
        """Return a docker archive."""
        out: list[bytes] = []
        writer = TarWriter(out.append)
        write_docker(writer, images, self.forms, compressor(compression))
        writer.finish()
        return b"".join(out)

    def load(self, archive: Path) -> tuple[Loaded, ...]:
        """Load an archive and name what is in it."""
        with open_members(str(archive), self.root) as members:
            images = load(members, Taker(self.snapshots, self.blobs, self.forms))
        for image in images:
            self.images.add(image.data, image.names, manifest=image.manifest)
        return images

    def named(self, name: str) -> NamedImage:
        """Return an image of the store as it would be saved."""
        found = self.images.find(name)
        digest = found.config_digest
        return NamedImage(
            found.config,
            self.images.config_blob(digest),
            digest,
            (Reference.parse(name),),
            self.images.manifest(digest),
        )

    def tree(self, image: NamedImage | Loaded) -> list[str]:
        """Return the image's file system as text."""
        snapshot = Snapshot.of(image.config.diff_ids)
        assert snapshot is not None
        with self.snapshots.view(snapshot) as fd:
            return read_tree(Path(f"/proc/self/fd/{fd}/."), times=True)


def parts(archive: bytes) -> dict[str, bytes]:
    """Return the regular members of a tar."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {}
        for member in tar.getmembers():
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None:
                found[member.name] = file.read()
        return found


def packed(members: dict[str, bytes | str]) -> bytes:
    """Return a tar of `members`; a text is the target of a symbolic link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type = tarfile.SYMTYPE
                info.linkname = content
                tar.addfile(info)
    return out.getvalue()
