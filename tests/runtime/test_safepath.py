"""Paths that cannot leave a root, by openat2 and by the walk; docs/security.md, rule 1."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import safepath

Opener = Callable[[int, bytes, int, int], int]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outside").write_text("outside")
    inside = tmp_path / "root"
    (inside / "a/b").mkdir(parents=True)
    (inside / "outside").write_text("inside")
    (inside / "a/file").write_text("a file")
    links = {
        "absolute": "/outside",
        "climbing": "../../../../outside",
        "a/b/up": "../../..",
        "loop": "loop",
        "chain": "a/to",
        "a/to": "b/up/a/file",
        "dangling": "a/new/name",
        "through": "a/file/x",
        "magic": "/proc/self/root",
    }
    for name, target in links.items():
        (inside / name).symlink_to(target)
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture(params=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Opener:
    if request.param == "walk":
        return safepath._open_walking
    return safepath.open_beneath


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("outside", "inside"),
        ("/outside", "inside"),
        ("../../outside", "inside"),
        ("absolute", "inside"),
        ("climbing", "inside"),
        ("a/b/up/outside", "inside"),
        ("a/../a/./file", "a file"),
        ("chain", "a file"),
    ],
)
def test_paths_and_links_end_inside(root: int, opener: Opener, path: str, content: str) -> None:
    fd = opener(root, path.encode(), os.O_RDONLY, 0)
    with open(fd) as file:
        assert file.read() == content


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("missing", errno.ENOENT),
        ("missing/x", errno.ENOENT),
        ("dangling", errno.ENOENT),
        ("loop", errno.ELOOP),
        ("a/file/x", errno.ENOTDIR),
        ("through", errno.ENOTDIR),
    ],
)
def test_errors_are_those_of_open(root: int, opener: Opener, path: str, number: int) -> None:
    with pytest.raises(OSError) as caught:
        opener(root, path.encode(), os.O_RDONLY, 0)
    assert caught.value.errno == number


def test_the_root_itself_can_be_opened(root: int, opener: Opener) -> None:
    fd = opener(root, b".", os.O_RDONLY | os.O_DIRECTORY, 0)
    assert "outside" in os.listdir(fd)
    os.close(fd)


def test_a_file_can_be_made(root: int, opener: Opener) -> None:
    fd = opener(root, b"a/made", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(fd)
    assert os.stat("a/made", dir_fd=root).st_mode & 0o777 == 0o600


def test_a_link_is_not_followed_when_asked_not_to(root: int, opener: Opener) -> None:
    fd = opener(root, b"absolute", os.O_PATH | os.O_NOFOLLOW, 0)
    assert os.readlink("", dir_fd=fd) == "/outside"
    os.close(fd)


def test_descriptors_are_closed_on_exec(root: int, opener: Opener) -> None:
    fd = opener(root, b"outside", os.O_RDONLY, 0)
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("..", "/"),
        ("a/b/up/..", "/"),
        ("absolute", "/outside"),
        ("chain", "/a/file"),
        ("dangling", "/a/new/name"),
        ("/a/b/../x/../y", "/a/y"),
        ("climbing/more", "/outside/more"),
        ("missing/../outside", "/outside"),
    ],
)
def test_canonical_paths_keep_what_is_missing(root: int, path: str, canonical: str) -> None:
    assert safepath.resolve(root, path) == canonical


def test_magic_links_are_not_followed() -> None:
    fd = os.open("/", os.O_PATH)
    with pytest.raises(OSError) as caught:
        safepath.open_beneath(fd, "/proc/self/root", os.O_PATH)
    assert caught.value.errno == errno.ELOOP
    os.close(fd)


def test_no_descriptor_leaks(root: int, opener: Opener) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in (b"missing/x", b"loop", b"chain", b"a/file/x"):
        try:
            os.close(opener(root, path, os.O_RDONLY, 0))
        except OSError:
            pass
        safepath.resolve(root, path) if path != b"loop" else None
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("path", "found", "looked"),
    [
        ("/", "/", ""),
        ("a/b/c", "/a/b/c", "a a/b a/b/c"),
        ("no/x/y", "/no/x/y", "no no/x no/x/y"),
        ("a/../outside", "/outside", "a outside"),
        ("absolute/x", "/outside/x", "absolute outside outside/x"),
        ("dangling", "/a/new/name", "dangling a a/new a/new/name"),
        ("chain", "/a/file", "chain a a/to a/b a/b/up a/file"),
    ],
)
def test_a_trace_tells_what_a_path_depends_on(
    root: int, path: str, found: str, looked: str
) -> None:
    assert safepath.trace(root, path) == (found, frozenset(looked.encode().split()))
    assert safepath.resolve(root, path) == found
