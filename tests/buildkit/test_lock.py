from pathlib import Path

import pytest

from buildkit.errors import DefinitionError, ImageError
from buildkit.frontend.bases import BaseRequest, BaseUse
from buildkit.lock import Lock, Pin, encode_lock, locked, path_of, read_lock
from buildkit.oci.config import ContainerConfig, ImageConfig, ResolvedImage
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform

PLATFORM = Platform.parse("linux/amd64")
WANTED = BaseRequest("docker.io/library/debian:12", PLATFORM)
USE = BaseUse((1, 1), "")
OLD, NEW, MANIFEST = Digest.of(b"old"), Digest.of(b"new"), Digest.of(b"manifest")


class Images:
    """The images that are in the store, by ID."""

    def __init__(self, *there: Digest) -> None:
        self.there = there

    def find(self, text: str) -> ResolvedImage:
        if text not in self.there:
            raise ImageError("not there")
        return resolved(text, Digest.parse(text))


def resolved(reference: str, image: Digest) -> ResolvedImage:
    config = ImageConfig(
        platform=PLATFORM,
        created="",
        author="",
        config=ContainerConfig(),
        diff_ids=(),
        history=(),
    )
    return ResolvedImage(reference, image, config)


def resolve(lock: Lock, images: Images, now: Digest, asked: list[str]) -> ResolvedImage:
    Path(lock.path).write_text(encode_lock(lock), encoding="utf-8")

    def current(wanted: BaseRequest, _use: BaseUse) -> ResolvedImage:
        asked.append(wanted.reference)
        return resolved(wanted.reference, now)

    dockerfile = lock.path.removesuffix(".lock")
    return locked(current, dockerfile, images)(WANTED, USE)  # type: ignore[arg-type]


def lock_at(tmp_path: Path, pin: Pin | None) -> Lock:
    images = {} if pin is None else {"docker.io/library/debian:12 linux/amd64": pin}
    return Lock(str(tmp_path / "Dockerfile.lock"), images)


def test_a_lock_comes_back_as_it_was(tmp_path: Path) -> None:
    lock = lock_at(tmp_path, Pin(OLD, MANIFEST))
    Path(lock.path).write_text(encode_lock(lock), encoding="utf-8")
    assert read_lock(lock.path) == lock
    assert read_lock(str(tmp_path / "none")) is None


def test_the_image_of_the_lock_is_taken_whatever_the_name_means_by_now(tmp_path: Path) -> None:
    asked: list[str] = []
    found = resolve(lock_at(tmp_path, Pin(OLD, None)), Images(OLD, NEW), NEW, asked)
    assert (found.reference, found.config_digest) == (WANTED.reference, OLD)
    assert not asked


def test_an_image_that_is_not_here_is_asked_for_by_digest(tmp_path: Path) -> None:
    asked: list[str] = []
    found = resolve(lock_at(tmp_path, Pin(OLD, MANIFEST)), Images(), OLD, asked)
    assert (found.reference, found.config_digest) == (WANTED.reference, OLD)
    assert asked == [f"docker.io/library/debian:12@{MANIFEST}"]


def test_another_image_than_that_of_the_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=f"debian:12 is {NEW}, and .* has {OLD}"):
        resolve(lock_at(tmp_path, Pin(OLD, None)), Images(), NEW, [])


def test_a_name_that_is_not_in_the_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="debian:12 for linux/amd64 is not in"):
        resolve(lock_at(tmp_path, None), Images(OLD), OLD, [])


def test_without_a_lock_file_nothing_is_locked(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="there is no"):
        locked(lambda *_: resolved("", OLD), str(tmp_path / "Dockerfile"), Images())  # type: ignore[arg-type]


def test_a_dockerfile_without_a_place_has_no_lock_file() -> None:
    with pytest.raises(DefinitionError, match="standard input"):
        path_of(None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version":1}',
        '{"version":1,"images":{"a":{}}}',
        '{"version":1,"images":{"a":{"image":"sha256:1"}}}',
    ],
)
def test_what_is_no_lock_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Dockerfile.lock"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match="is no lock file"):
        read_lock(str(path))
