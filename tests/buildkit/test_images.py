import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import ImageError, StoreError
from buildkit.image_list import listed
from buildkit.images import ImageStore
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.state.root import StateRoot


@pytest.fixture
def images(tmp_path: Path) -> Iterator[ImageStore]:
    with StateRoot.open(str(tmp_path)) as root:
        yield ImageStore(root)


def config(author: str) -> bytes:
    return ImageConfig(Platform("linux", "amd64"), author=author).encode()


def names(*texts: str) -> list[Reference]:
    return [Reference.parse(text) for text in texts]


def test_an_image_is_found_by_name_and_by_id(images: ImageStore) -> None:
    digest = images.add(config("a"), names("app:1", "ghcr.io/x/app"))
    for text in ("app:1", "docker.io/library/app:1", "ghcr.io/x/app:latest", digest, digest.hex):
        assert images.find(text).config_digest == digest
    for length in (1, 12, 63):
        assert images.find(digest.hex[:length]).config_digest == digest
    found = images.find("app:1")
    assert found.reference == "docker.io/library/app:1"
    assert found.config.author == "a"
    assert images.find(f"other@{digest}").config_digest == digest


def test_a_name_goes_to_the_last_image_that_got_it(images: ImageStore) -> None:
    first = images.add(config("a"), names("app"))
    second = images.add(config("b"), names("app"))
    assert images.find("app").config_digest == second
    assert images.names(first) == ()
    images.tag(first, Reference.parse("app:old"))
    assert {image.digest: image.names for image in listed(images)} == {
        first: ("docker.io/library/app:old",),
        second: ("docker.io/library/app:latest",),
    }


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("aap", "no image is called 'aap' in the local store", "did you mean app?"),
        ("zzz", "no image is called 'zzz'", "pybuild images lists them"),
        ("App", "has upper-case letters", ""),
        ("f" * 64, "no image has the ID", "pybuild images lists them"),
    ],
)
def test_what_is_not_found_is_told_with_a_hint(
    images: ImageStore, text: str, message: str, hint: str
) -> None:
    images.add(config("a"), names("app"))
    with pytest.raises(ImageError, match=message) as caught:
        images.find(text)
    assert caught.value.hint == hint


def test_an_id_that_may_mean_two_images_is_refused(images: ImageStore) -> None:
    ids = [images.add(config(str(number))) for number in range(17)]
    shared = next(one[7] for one in ids if sum(other[7] == one[7] for other in ids) > 1)
    with pytest.raises(ImageError, match="several images have IDs that begin with"):
        images.find(shared)


def test_an_image_goes_with_its_last_name(images: ImageStore) -> None:
    digest = images.add(config("a"), names("app:1", "app:2"))
    with pytest.raises(ImageError, match="several names: app:1, app:2"):
        images.remove(digest)
    assert images.remove("app:1") == (("docker.io/library/app:1",), None)
    assert images.remove("app:2") == (("docker.io/library/app:2",), digest)
    with pytest.raises(ImageError):
        images.find(digest)
    images.add(config("a"), names("app:1", "app:2"))
    assert images.remove(digest.hex[:12], force=True).image == digest


def test_a_digest_removes_an_image_as_its_id_does(images: ImageStore) -> None:
    manifest = Digest.of(b"manifest")
    digest = images.add(config("a"), names("app:1", "app:2"), manifest=manifest)
    for named in (f"app@{manifest}", f"app:1@{digest}"):
        with pytest.raises(ImageError, match="several names: app:1, app:2"):
            images.remove(named)
    assert images.remove(f"app@{manifest}", force=True).image == digest
    digest = images.add(config("a"), names("app:1"))
    assert images.remove(f"app@{digest}") == (("docker.io/library/app:1",), digest)


def test_an_image_without_its_layers_is_not_added(images: ImageStore) -> None:
    lacking = ImageConfig(Platform("linux", "amd64"), diff_ids=(Digest.of(b"layer"),))
    with pytest.raises(StoreError, match="is not in the store"):
        images.add(lacking.encode(), names("app"))
    assert list(listed(images)) == []


def test_an_image_that_is_not_whole_any_more_is_not_listed(
    images: ImageStore, tmp_path: Path
) -> None:
    digest = images.add(config("a"), names("app"))
    os.unlink(tmp_path / "blobs" / "sha256" / digest.hex)
    assert list(listed(images)) == []


def test_images_are_listed_where_nothing_can_be_marked_as_in_use(
    images: ImageStore, tmp_path: Path
) -> None:
    digest = images.add(config("a"), names("app"))
    with StateRoot.open(str(tmp_path)) as root:
        (tmp_path / "leases").rename(tmp_path / "gone")
        (tmp_path / "leases").touch()
        with pytest.raises(StoreError):
            ImageStore(root).find("app")
        assert [image.digest for image in listed(ImageStore(root))] == [digest]
    (tmp_path / "leases").unlink()
    (tmp_path / "gone").rename(tmp_path / "leases")


def test_adding_again_changes_nothing(images: ImageStore) -> None:
    digest = images.add(config("a"), names("app"))
    before = next(iter(listed(images)))
    assert images.add(config("a"), names("app")) == digest
    assert next(iter(listed(images))) == before
    manifest = Digest.of(b"manifest")
    images.add(config("a"), manifest=manifest)
    assert images.manifest(digest) == manifest
    images.add(config("a"), names("app"))
    assert images.manifest(digest) == manifest
    assert images.find(f"x@{manifest}").config_digest == digest


def test_a_named_image_needs_nothing_of_the_databases_log(
    images: ImageStore, tmp_path: Path
) -> None:
    image = images.add(config("one"), names("app"))
    images.tag(image, Reference.parse("other"))
    copy = tmp_path / "copy.db"
    copy.write_bytes(Path(images.root.database_path).read_bytes())  # and no -wal beside it

    with contextlib.closing(sqlite3.connect(copy)) as database:
        found = database.execute("SELECT name FROM image ORDER BY name").fetchall()

    assert [name for (name,) in found] == [
        "docker.io/library/app:latest",
        "docker.io/library/other:latest",
    ]
