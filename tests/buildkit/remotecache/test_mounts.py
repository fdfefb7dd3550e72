"""Cache mounts on their way from one store to another."""

import contextlib
import fcntl
import io
import os
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildkit.errors import ImageError
from buildkit.llb.op import CacheMount
from buildkit.oci.digest import Digest
from buildkit.ops import cache_mounts
from buildkit.progress.cancel import Cancel
from buildkit.remotecache.document import SharedMount
from buildkit.remotecache.mounts import (
    BusyMountError,
    PackedMount,
    find_mounts,
    pack_mount,
    unpack_mount,
    wants_content,
)
from buildkit.snapshot.compression import compressor
from buildkit.state.root import StateRoot
from tests.kernel import needs
from tests.trees import make_tree, read_tree

pytestmark = needs("root")

MOUNT = CacheMount("/deps", "deps", "shared", None, "/", 0o750, 3, 4, readonly=False)
LINES = (
    "dir d 0700 7:8",
    "file d/a 4755 1:2 text=a mtime=1000",
    "file d/.wh.b 0644 text=no-deletion mtime=2000",
    "link l -> d/a",
)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[StateRoot]:
    """Another machine's state root."""
    with StateRoot.open(str(tmp_path / "other")) as opened:
        yield opened


@contextlib.contextmanager
def used(root: StateRoot, cancel: Cancel, mount: CacheMount = MOUNT) -> Iterator[Path]:
    """Have the mount's directory as a step has."""
    with cache_mounts.directory(root, mount, "", lambda _: None, cancel) as path:
        yield Path(path)


def filled(root: StateRoot, cancel: Cancel, *lines: str) -> tuple[SharedMount, str]:
    """Return the one mount of a store, which holds a tree."""
    with used(root, cancel) as path:
        make_tree(path, *lines)
    (found,) = find_mounts(root, ["deps"])
    return found


def packed(root: StateRoot, cancel: Cancel, *lines: str) -> PackedMount:
    found = pack_mount(root, *filled(root, cancel, *lines), compressor("gzip"), cancel.check)
    assert found is not None
    return found


def test_a_mount_comes_out_as_it_went_in(root: StateRoot, other: StateRoot, cancel: Cancel) -> None:
    blob = packed(root, cancel, *LINES)
    with open(blob.path, "rb") as file:
        assert unpack_mount(other, blob.mount, file, "blob")
    with used(root, cancel) as before, used(other, cancel) as after:
        assert read_tree(after) == read_tree(before)
        assert (after / "d/a").stat().st_mtime == 1000
        found = after.stat()
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o750, 3, 4)
    # And can go on from there.
    assert [one.name for one, _ in find_mounts(other, ["deps"])] == [blob.mount.name]


def test_equal_content_gives_an_equal_blob(
    root: StateRoot, other: StateRoot, cancel: Cancel
) -> None:
    one, two = packed(root, cancel, *LINES), packed(other, cancel, *LINES)
    assert (one.mount, one.digest, one.size) == (two.mount, two.digest, two.size)


def test_only_what_is_asked_for_is_found(root: StateRoot, cancel: Cancel) -> None:
    for name in ("deps", "else"):
        with used(root, cancel, MOUNT._replace(id=name)):
            pass
    assert [mount.id for mount, _ in find_mounts(root, ["else", "never"])] == ["else"]


def test_an_empty_mount_is_nothing(root: StateRoot, cancel: Cancel) -> None:
    mount, directory = filled(root, cancel)
    assert pack_mount(root, mount, directory, compressor("gzip"), cancel.check) is None


def test_sockets_stay_at_home(
    root: StateRoot, cancel: Cancel, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount, directory = filled(root, cancel, "file a text=a")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(f"{directory}/fs")  # the path as a whole is too long for a socket
        listening.bind("socket")
        blob = pack_mount(root, mount, directory, compressor("none"), cancel.check)
    assert blob is not None
    with tarfile.open(blob.path) as tar:
        assert tar.getnames() == ["a"]


def test_a_mount_that_a_step_has_for_itself_is_busy(root: StateRoot, cancel: Cancel) -> None:
    mount, directory = filled(root, cancel, "file a text=a")
    with (
        used(root, cancel, MOUNT._replace(sharing="locked")),
        pytest.raises(BusyMountError, match="for itself"),
    ):
        pack_mount(root, mount, directory, compressor("gzip"), cancel.check)


@pytest.mark.parametrize("here", [(), ("file own text=own",)])
def test_only_an_empty_directory_gives_way(
    root: StateRoot, other: StateRoot, cancel: Cancel, here: tuple[str, ...]
) -> None:
    blob = packed(root, cancel, *LINES)
    with used(other, cancel) as path:
        make_tree(path, *here)
        before = read_tree(path)
    assert wants_content(other, blob.mount) is not bool(here)
    with open(blob.path, "rb") as file:
        assert unpack_mount(other, blob.mount, file, "blob") is not bool(here)
    with used(root, cancel) as theirs, used(other, cancel) as path:
        assert read_tree(path) == (before if here else read_tree(theirs))


def test_an_empty_directory_that_is_in_use_does_not(
    root: StateRoot, other: StateRoot, cancel: Cancel
) -> None:
    blob = packed(root, cancel, *LINES)
    with used(other, cancel) as path:
        fd = os.open(path.parent, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with open(blob.path, "rb") as file, pytest.raises(BusyMountError):
            unpack_mount(other, blob.mount, file, "blob")
        os.close(fd)
        assert list(path.iterdir()) == []


def cut(data: bytes) -> bytes:
    return data[:-30]


def another(_data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("evil")
        tar.addfile(info)
    return out.getvalue()


def outside(_data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../evil"))
    return out.getvalue()


def nothing(_data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("harm", [cut, another, outside, nothing])
def test_a_blob_that_is_another_leaves_nothing_behind(
    root: StateRoot, other: StateRoot, cancel: Cancel, harm: Callable[[bytes], bytes]
) -> None:
    blob = packed(root, cancel, *LINES)
    data = harm(Path(blob.path).read_bytes())
    with pytest.raises(ImageError):
        unpack_mount(other, blob.mount, io.BytesIO(data), "blob")
    assert os.listdir(other.path("caches")) == []
    assert wants_content(other, blob.mount)


def test_what_is_unpacked_is_checked_by_its_digest(
    root: StateRoot, other: StateRoot, cancel: Cancel
) -> None:
    blob = packed(root, cancel, *LINES)
    mount = blob.mount._replace(diff_id=Digest.of(b"another"))
    with open(blob.path, "rb") as file, pytest.raises(ImageError, match="not what its digest"):
        unpack_mount(other, mount, file, "blob")
