"""Indexes in the store: names, listing, what goes and what stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.content.local import LocalBlobStore
from buildkit.errors import ImageError
from buildkit.fsck.check import fsck
from buildkit.gc import Policy, prune
from buildkit.image_list import listed
from buildkit.images import ImageStore
from buildkit.oci.config import ImageConfig
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import CONFIG, MANIFEST
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.state.root import StateRoot
from buildkit.usage import usage

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
HERE, OTHER = (AMD64, ARM64) if Platform.host() == AMD64 else (ARM64, AMD64)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[StateRoot]:
    with StateRoot.open(str(tmp_path)) as opened:
        yield opened


@pytest.fixture
def images(root: StateRoot) -> ImageStore:
    return ImageStore(root)


def names(*texts: str) -> list[Reference]:
    return [Reference.parse(text) for text in texts]


def child(root: StateRoot, platform: Platform, author: str = "a") -> tuple[Digest, Descriptor]:
    """Keep an image without layers; return its ID and what an index says of it."""
    config = ImageConfig(platform, author=author).encode()
    image = ImageStore(root).add(config)
    manifest = Manifest(Descriptor(CONFIG, image, len(config)), ()).encode()
    stored = LocalBlobStore(root).put_bytes(manifest)
    return image, Descriptor(MANIFEST, stored.digest, stored.size, platform=platform)


def index(root: StateRoot, *platforms: Platform, name: str = "app") -> tuple[Digest, list[Digest]]:
    found = [child(root, platform) for platform in platforms]
    data = Index(tuple(entry for _, entry in found)).encode()
    return ImageStore(root).add_index(data, names(name)), [image for image, _ in found]


def test_a_name_means_the_image_for_a_platform(root: StateRoot, images: ImageStore) -> None:
    digest, (one, two) = index(root, OTHER, HERE)
    assert images.find("app").config_digest == two
    assert images.find("app", OTHER).config_digest == one
    assert images.find("app", OTHER).reference == "docker.io/library/app:latest"
    assert images.identify("app") == digest
    assert images.find(f"app@{digest}").config_digest == two
    assert images.find(digest.hex[:12]).config_digest == two
    with pytest.raises(ImageError, match="app has no image for linux/s390x") as caught:
        images.find("app", Platform.parse("linux/s390x"))
    assert caught.value.hint == f"it has: {OTHER}, {HERE}"


def test_an_index_is_listed_once_with_its_platforms(root: StateRoot, images: ImageStore) -> None:
    digest, children = index(root, OTHER, HERE)
    found = {image.digest: image for image in listed(images)}
    assert found[digest].platforms == (str(OTHER), str(HERE))
    assert found[digest].config.platform == HERE
    assert not found[digest].within
    assert all(found[one].within for one in children)
    assert [len(one.entries) for one in usage(root) if one.kind == "untagged image"] == [0]


def test_an_index_goes_with_its_last_name_and_takes_its_images(
    root: StateRoot, images: ImageStore
) -> None:
    digest, (one, two) = index(root, OTHER, HERE)
    images.tag(digest, Reference.parse("again"))
    images.tag(two, Reference.parse("mine"))
    assert images.remove("app").image is None
    assert images.remove("again").image == digest
    assert [image.digest for image in listed(images)] == [two]
    with pytest.raises(ImageError, match="no image has the ID"):
        images.find(one)


def test_what_an_index_has_does_not_go_by_itself(root: StateRoot, images: ImageStore) -> None:
    digest, (one, two) = index(root, OTHER, HERE)
    with pytest.raises(ImageError, match="belongs to an index") as caught:
        images.remove(one)
    assert caught.value.hint == f"remove {digest} instead"
    images.tag(two, Reference.parse("mine"))
    assert images.remove("mine").image is None
    assert images.find("app", HERE).config_digest == two


def test_an_image_of_two_indexes_goes_with_the_second(root: StateRoot, images: ImageStore) -> None:
    first, (one, _) = index(root, OTHER, HERE)
    second, _ = index(root, OTHER, name="lone")
    assert first != second
    images.remove("app")
    assert [image.digest for image in listed(images) if not image.platforms] == [one]
    images.remove("lone")
    assert list(listed(images)) == []


def test_an_index_brings_back_images_that_went_with_another(
    root: StateRoot, images: ImageStore
) -> None:
    """As when `rmi` of the one runs while the other is made."""
    digest, children = index(root, OTHER, HERE)
    data = LocalBlobStore(root).read(digest)
    images.remove("app")
    assert list(listed(images)) == []
    again = images.add_index(data, names("again"))
    assert {image.digest for image in listed(images)} == {again, *children}
    assert fsck(root) == ()
    with StateRoot.open(root.top) as other:
        prune(other, Policy(steps="all"))
    assert images.find("again", OTHER).config_digest == children[0]
    assert fsck(root) == ()


def test_collection_keeps_what_a_named_index_leads_to(root: StateRoot, images: ImageStore) -> None:
    digest, children = index(root, OTHER, HERE)
    with StateRoot.open(root.top) as other:
        assert prune(other, Policy(steps="all")).images == ()
    assert {image.digest for image in listed(images)} == {digest, *children}
    assert fsck(root) == ()


def test_a_damaged_index_is_found_and_dropped(root: StateRoot, images: ImageStore) -> None:
    digest, (one, _) = index(root, OTHER, HERE)
    with root.transaction() as database:
        database.execute("DELETE FROM known_image WHERE config=?", (one,))
    (finding,) = fsck(root)
    assert finding.problem == f"is an index that has lost image {one}"
    fsck(root, repair=True)
    assert fsck(root) == ()
    assert digest not in {image.digest for image in listed(images)}


def test_a_part_of_an_attestation_that_is_lost_is_found(
    root: StateRoot, images: ImageStore
) -> None:
    blobs = LocalBlobStore(root)
    config, statement = blobs.put_bytes(b"{}"), blobs.put_bytes(b'{"said": 1}')
    manifest = Manifest(
        Descriptor(CONFIG, *config), (Descriptor("application/vnd.in-toto+json", *statement),)
    )
    _, entry = child(root, HERE)
    about = (("vnd.docker.reference.digest", str(entry.digest)),)
    kind = (("vnd.docker.reference.type", "attestation-manifest"),)
    said = Descriptor(MANIFEST, *blobs.put_bytes(manifest.encode()), annotations=about + kind)
    digest = images.add_index(Index((entry, said)).encode(), names("app"))
    assert fsck(root) == ()
    blobs.remove(statement.digest)
    (finding,) = fsck(root, repair=True)
    assert finding.problem == f"has lost {statement.digest} of its attestation {said.digest}"
    assert fsck(root) == ()
    assert images.identify("app") == digest
