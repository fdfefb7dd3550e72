"""What a store whose database is lost still knows by its blobs."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buildkit.attestation.kept import keep, kept
from buildkit.attestation.statement import statement_of
from buildkit.content.local import LocalBlobStore
from buildkit.fsck import fsck
from buildkit.images import ImageStore
from buildkit.oci.config import ImageConfig
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import CONFIG, MANIFEST, layer_type
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.snapshot.overlay import OverlayStore
from buildkit.state.root import StateRoot
from tests.contract.conftest import Steps
from tests.kernel import needs_overlay, needs_root

pytestmark = [needs_root, needs_overlay]

PLATFORMS = (Platform("linux", "amd64"), Platform("linux", "arm64"))


class Lost:
    """A store with an index of two images, a statement about each, and then no database."""

    def __init__(self, top: Path) -> None:
        self.top = top
        with closing(StateRoot.open(str(top))) as root:
            store = OverlayStore(root)
            diff_id = Steps(root, store).base("file a text=1").diff_id
            blobs, images = LocalBlobStore(root), ImageStore(root)
            # Their blobs are looked for by name alone.
            self.layer = blobs.put_bytes(b"of a layer")
            layer = Descriptor(layer_type("gzip", docker=False), *self.layer)
            entries = []
            self.images: dict[Digest, Digest] = {}
            for platform in PLATFORMS:
                config = ImageConfig(platform, diff_ids=(diff_id,)).encode()
                described = Descriptor(CONFIG, Digest.of(config), len(config))
                manifest = blobs.put_bytes(Manifest(described, (layer,)).encode())
                image = images.add(config, manifest=manifest.digest)
                self.images[image] = manifest.digest
                entries.append(Descriptor(MANIFEST, *manifest, platform=platform))
                for text in ("old", "new"):
                    kept_one = keep(root, blobs, image, "sbom", statement_of("sbom", text, image))
                    path = blobs.path(kept_one.statement)
                    os.utime(path, (1, 1) if text == "old" else (2, 2))
            self.data = Index(tuple(entries)).encode()
            self.index = images.add_index(self.data, [Reference.parse("app")])
            self.statements = kept(root)
            store.sync()
            store.close()
        (top / "state.db").write_bytes(b"garbage" * 5000)

    def path(self, digest: Digest) -> Path:
        return self.top / "blobs/sha256" / digest.hex

    @property
    def known(self) -> dict[str, str | None]:
        """IDs of images and indexes, with their manifests."""
        with closing(StateRoot.open(str(self.top))) as root:
            rows = root.database().execute("SELECT config, manifest FROM known_image").fetchall()
        return dict(rows)


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Lost]:
    yield Lost(tmp_path / "root")


def repaired(lost: Lost) -> None:
    with closing(StateRoot.open(str(lost.top))) as root:
        assert all(finding.repaired for finding in fsck(root, repair=True))
        assert fsck(root, full=True) == ()


def test_indexes_manifests_and_statements_are_found_again(lost: Lost) -> None:
    repaired(lost)
    assert lost.known == {**lost.images, lost.index: lost.index}
    with closing(StateRoot.open(str(lost.top))) as root:
        store = ImageStore(root)
        assert store.is_index(lost.index)
        assert [part.image for part in store.parts(lost.index)] == list(lost.images)
        assert kept(root) == lost.statements


def test_an_index_that_has_lost_an_image_is_none(lost: Lost) -> None:
    gone = next(iter(lost.images))
    lost.path(gone).unlink()
    repaired(lost)
    assert lost.known == {image: found for image, found in lost.images.items() if image != gone}


def test_a_manifest_whose_layers_are_lost_is_of_no_image(lost: Lost) -> None:
    lost.path(lost.layer.digest).unlink()
    repaired(lost)
    assert lost.known == {**dict.fromkeys(lost.images), lost.index: lost.index}


def test_what_is_damaged_is_no_document(lost: Lost) -> None:
    lost.path(lost.index).write_bytes(lost.data + b" ")
    for one in lost.statements:
        path = lost.path(one.statement)
        path.write_bytes(path.read_bytes() + b" ")
    repaired(lost)
    assert lost.known == lost.images
    with closing(StateRoot.open(str(lost.top))) as root:
        older = kept(root)
    assert len(older) == 2
    assert not set(older) & set(lost.statements)
