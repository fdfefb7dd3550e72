"""A cache in a directory, and what may be wrong with one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import BuildError, ImageError
from buildkit.exporter.destination import OutputError
from buildkit.oci.digest import Digest
from buildkit.remotecache.backend import Blob
from buildkit.remotecache.directory import DirectoryCache
from tests.buildkit.remotecache.samples import blob, layer, merging, own, step


def write(cache: DirectoryCache, *names: str, reset: bool = False) -> None:
    cache.write([blob(name) for name in names], merging(own(*names), reset=reset))


def names(cache: DirectoryCache) -> list[str]:
    return sorted(one.document.split('"')[-2] for one in cache.load().document.steps)


def blobs(path: Path) -> set[str]:
    return {one.name for one in (path / "blobs/sha256").iterdir()}


def test_it_is_an_image_layout_that_others_can_read(tmp_path: Path) -> None:
    cache = DirectoryCache(str(tmp_path / "c"), "main")
    write(cache, "a")
    assert json.loads((tmp_path / "c/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((tmp_path / "c/index.json").read_text())
    (entry,) = index["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "main"}
    assert entry["digest"] == cache.load().digest


def test_tags_are_caches_of_their_own(tmp_path: Path) -> None:
    one, two = (DirectoryCache(str(tmp_path), tag) for tag in ("one", "two"))
    write(one, "a")
    write(two, "b")
    assert (names(one), names(two)) == (["a"], ["b"])
    with pytest.raises(ImageError, match="holds no cache called three"):
        DirectoryCache(str(tmp_path), "three").load()


def test_an_earlier_state_can_be_read_by_its_digest(tmp_path: Path) -> None:
    cache = DirectoryCache(str(tmp_path), "latest")
    write(cache, "a")
    before = cache.load().digest
    write(cache, "b")
    assert names(DirectoryCache(str(tmp_path), "latest", before)) == ["a"]


def test_with_reset_blobs_that_nobody_names_go(tmp_path: Path) -> None:
    write(DirectoryCache(str(tmp_path), "other"), "kept")
    write(DirectoryCache(str(tmp_path), "latest"), "a")
    write(DirectoryCache(str(tmp_path), "latest", reset=True), "b", reset=True)
    cache = DirectoryCache(str(tmp_path), "latest")
    other = DirectoryCache(str(tmp_path), "other")
    named = {
        one.digest.hex for found in (cache.load(), other.load()) for one in found.layers.values()
    }
    assert {step("kept").diff_id.hex, step("b").diff_id.hex} == named
    # With the layers, two manifests and two configs.
    assert len(blobs(tmp_path)) == 6


def test_a_blob_that_is_known_to_be_damaged_is_written_again(tmp_path: Path) -> None:
    write(DirectoryCache(str(tmp_path), "latest"), "a")
    digest = step("a").diff_id
    path = tmp_path / "blobs/sha256" / digest.hex
    path.write_bytes(bytes(len(layer("a"))))
    write(DirectoryCache(str(tmp_path), "latest"), "a")
    assert path.read_bytes() != layer("a")
    write(DirectoryCache(str(tmp_path), "latest", damaged=frozenset({digest})), "a")
    assert path.read_bytes() == layer("a")


def test_a_step_whose_blob_is_missing_is_not_merged(tmp_path: Path) -> None:
    cache = DirectoryCache(str(tmp_path), "latest")
    write(cache, "a", "b")
    (tmp_path / "blobs/sha256" / step("a").diff_id.hex).unlink()
    write(cache, "c")
    assert names(cache) == ["b", "c"]


@pytest.mark.parametrize("what", ["manifest", "config"])
def test_a_cache_that_is_damaged_is_written_anew(tmp_path: Path, what: str) -> None:
    cache = DirectoryCache(str(tmp_path), "latest")
    write(cache, "a")
    manifest = tmp_path / "blobs/sha256" / cache.load().digest.hex
    config = json.loads(manifest.read_bytes())["config"]["digest"].removeprefix("sha256:")
    broken = {"manifest": manifest, "config": manifest.with_name(config)}[what]
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(ImageError, match="damaged"):
        cache.load()
    write(cache, "b")
    assert names(cache) == ["b"]


def test_what_is_cut_short_leaves_nothing_behind(tmp_path: Path) -> None:
    class LostError(Exception):
        pass

    def half(_offset: int) -> Iterator[bytes]:
        yield b"half"
        raise LostError

    cache = DirectoryCache(str(tmp_path), "latest")
    write(cache, "a")
    before = blobs(tmp_path)
    with pytest.raises(LostError):
        cache.write([lambda: Blob(step("b").diff_id, 100, half, "b")], merging(own("b")))
    assert blobs(tmp_path) == before


@pytest.mark.parametrize("part", ["blobs", "blobs/sha256", "index.json", "index.json.lock"])
def test_no_link_in_the_directory_is_followed(tmp_path: Path, part: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    place = tmp_path / "cache" / part
    place.parent.mkdir(parents=True)
    place.symlink_to(victim / "file" if part.startswith("index") else victim)
    cache = DirectoryCache(str(tmp_path / "cache"), "latest")
    with pytest.raises(OutputError, match="links in it are not followed"):
        write(cache, "a")
    assert [one.name for one in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text() == "precious"


def test_what_the_disk_says_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = DirectoryCache(str(tmp_path / "file"), "latest")
    with pytest.raises(BuildError, match=f"{tmp_path}/file cannot be written"):
        write(cache, "a")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"manifests": 1}'])
def test_an_index_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ImageError, match=r"index\.json"):
        DirectoryCache(str(tmp_path), "latest").load()


def test_an_image_is_no_cache(tmp_path: Path) -> None:
    cache = DirectoryCache(str(tmp_path), "latest")
    write(cache, "a")
    manifest = tmp_path / "blobs/sha256" / cache.load().digest.hex
    data = manifest.read_bytes().replace(b"vnd.pybuild.cache.config", b"vnd.oci.image.config.v")
    digest = Digest.of(data)
    (tmp_path / "blobs/sha256" / digest.hex).write_bytes(data)
    with pytest.raises(ImageError, match="is no cache but"):
        DirectoryCache(str(tmp_path), "latest", digest).load()
