import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.attestation.kept import Kept, forget, keep, kept
from buildkit.content.local import LocalBlobStore
from buildkit.fsck import fsck
from buildkit.gc import prune
from buildkit.images import ImageStore
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.state.root import StateRoot

NAME = Reference.parse("app")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path)) as opened:
        yield opened


def image(root: StateRoot) -> Digest:
    config = ImageConfig(Platform("linux", "amd64"))
    return ImageStore(root).add(config.encode(), (NAME,))


def test_the_last_of_a_kind_is_what_is_kept(root: StateRoot) -> None:
    blobs, one = LocalBlobStore(root), image(root)
    assert kept(root) == ()
    keep(root, blobs, one, "sbom", b"1")
    second = keep(root, blobs, one, "sbom", b"2")
    third = keep(root, blobs, one, "provenance", b"3")
    assert kept(root, one) == (second, third)
    assert kept(root, Digest.of(b"")) == ()
    forget(root, (second,))
    assert kept(root) == (third,)


def test_they_stay_with_their_image_and_go_with_it(root: StateRoot) -> None:
    blobs, one = LocalBlobStore(root), image(root)
    found = keep(root, blobs, one, "sbom", b"1")
    old = keep(root, blobs, Digest.of(b"no image"), "sbom", b"2")
    root.close()  # a command that has ended
    prune(root)
    assert kept(root) == (found,)
    assert blobs.has(found.statement)
    assert not os.path.exists(blobs.path(old.statement))
    ImageStore(root).remove("app")
    root.close()
    prune(root)
    assert kept(root) == ()
    assert list(blobs) == []


def test_fsck_misses_a_statement_and_forgets_it(root: StateRoot) -> None:
    blobs, one = LocalBlobStore(root), image(root)
    found = keep(root, blobs, one, "provenance", b"1")
    assert fsck(root) == ()
    blobs.remove(found.statement)
    (finding,) = fsck(root, repair=True)
    assert finding.problem == f"has lost its provenance {found.statement}"
    assert fsck(root) == ()


def test_damaged_rows_say_nothing(root: StateRoot) -> None:
    one = keep(root, LocalBlobStore(root), image(root), "sbom", b"1")
    root.database().execute("INSERT INTO attestation VALUES('x', 'sbom', 'y')")
    root.database().execute("INSERT INTO attestation VALUES(?, 'seal', ?)", (one.image, one[2]))
    assert kept(root) == (Kept(one.image, "sbom", one.statement),)
