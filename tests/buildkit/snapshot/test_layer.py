"""The layer tar as others read it."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from buildkit.errors import StepError
from buildkit.oci.digest import Digest
from buildkit.snapshot.hashing import HashingSink
from buildkit.snapshot.layer import LayerWriter, pack_directory
from buildkit.snapshot.tarheader import header
from buildkit.snapshot.unpack import unpack_layer
from buildkit.tree.entry import Entry
from buildkit.tree.walk import GONE, walk
from tests.kernel import needs_root
from tests.trees import make_tree, read_tree

LINES = (
    "dir d 1777 3:4 mtime=50",
    "file d/f 4755 1:2 text=hello mtime=5",
    "file big-id 0644 3000000:4294967294",
    "hard d/h = d/f",
    "link l -> ../x",
    "fifo p 0600",
    "char c 0666 rdev=1:3",
    "file new 0644 text=x mtime=9999999999",
    "file old 0644 mtime=-77",
    "file x 0644 xattr.user.a=1 xattr.user.b=b'\\x00=\\n'",
    f"file {'n' * 200}",
    f"file {'a/' * 60}{'m' * 60}",
    f"link long -> {'t' * 150}",
)


def pack(root: Path, *, with_root: bool = False) -> bytes:
    parts: list[bytes] = []
    fd = os.open(root, os.O_RDONLY)
    try:
        pack_directory(fd, parts.append, with_root=with_root)
    finally:
        os.close(fd)
    return b"".join(parts)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    if "PYBUILD_INSIDE" in os.environ:
        pytest.skip("a user namespace has neither devices nor all ids")
    return make_tree(tmp_path / "tree", *LINES)


@needs_root
def test_gnu_tar_unpacks_what_was_packed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    subprocess.run(
        ["tar", "-xp", "--numeric-owner", "--xattrs", "--xattrs-include=user.*"],
        cwd=tmp_path / "out",
        input=pack(tree),
        check=True,
    )
    # GNU tar reads negative times of pax headers only since 1.30 or so; all else is equal.
    assert read_tree(tmp_path / "out") == read_tree(tree)


@needs_root
def test_the_standard_library_reads_what_was_packed(tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(tree, with_root=True))) as tar:
        names = tar.getnames()
        assert names[0] == "."
        assert sorted(names[1:]) == sorted(line.split()[1] for line in read_tree(tree))
        assert tar.getmember("old").mtime == -77
        assert tar.getmember("new").mtime == 9999999999
        assert tar.getmember("big-id").gid == 4294967294
        assert tar.getmember("x").pax_headers["SCHILY.xattr.user.b"] == "\0=\n"
        assert {(member.uname, member.gname) for member in tar.getmembers()} == {("", "")}


@needs_root
def test_our_own_reader_gives_the_tree_back(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fd = os.open(tmp_path / "out", os.O_RDONLY)
    unpack_layer(io.BytesIO(pack(tree)), fd)
    os.close(fd)
    assert read_tree(tmp_path / "out") == read_tree(tree)
    for name in ("d", "d/f", "new", "old"):
        assert (tmp_path / "out" / name).stat().st_mtime_ns == (tree / name).stat().st_mtime_ns


def test_equal_trees_give_equal_bytes_whatever_the_order_of_making(tmp_path: Path) -> None:
    lines = ["file a/x text=1 mtime=5", "file b text=2 mtime=5", "dir a mtime=7"]
    one = make_tree(tmp_path / "1", *lines)
    other = make_tree(tmp_path / "2", lines[1], lines[0], lines[2])
    assert pack(one) == pack(other)


def test_a_directory_that_does_not_change_gives_bytes_that_do_not(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "file a mtime=5 text=x", "link b -> c mtime=6", "dir d mtime=7")
    # A layer's digest must not move with a new version: it is what caches and registries know.
    owner = os.geteuid()
    if owner == 0:
        assert Digest.of(pack(tree)) == (
            "sha256:ad601b6125f3b5401d78368b40cffbd9efb3bdc3ffa727a61243dbc4de848951"
        )


def test_hashing_in_a_thread_gives_what_hashing_at_once_gives() -> None:
    blocks = [bytes([number]) * 1_000_000 for number in range(40)]
    with HashingSink() as sink:
        for block in blocks:
            sink(block)
        assert sink.digest() == Digest.of(b"".join(blocks))
        assert sink.size == 40_000_000


@pytest.mark.parametrize("length", [99, 100, 101, 154, 155, 156, 255, 256, 257, 300])
@pytest.mark.parametrize("step", [1, 7, 90, 99])
def test_names_around_the_limits_of_ustar(length: int, step: int) -> None:
    name = "".join("/" if number % (step + 1) == step else "n" for number in range(length))
    name = name.rstrip("/") + "e" * (length - len(name.rstrip("/")))
    data = header(Entry(name.encode(), 0o100644, 0, 0, 0, 0, 0, None, b"", ()), 0)
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as tar:
        assert tar.getnames() == [name]


def test_an_attribute_whose_name_has_no_form_is_refused() -> None:
    entry = Entry(b"f", 0o100644, 0, 0, 0, 0, 0, None, b"", (("user.a=b", b""),))
    with pytest.raises(StepError, match=r"'user.a=b' of /f has no form"):
        header(entry, 0)


def test_of_files_that_somebody_writes_what_goes_is_left_out_and_what_shrinks_is_filled_up(
    tmp_path: Path,
) -> None:
    make_tree(tmp_path, "file a text=1", "file b text=2", "dir c", "link d -> x", "file e text=345")
    parts: list[bytes] = []
    fd = os.open(tmp_path, os.O_RDONLY)

    writer = LayerWriter(parts.append, living=True)
    for entry, inner in walk(fd, gone=GONE):
        if entry.path == b"a":  # by now the names of all are known
            (tmp_path / "b").unlink()
            (tmp_path / "c").rmdir()
            (tmp_path / "d").unlink()
        if entry.path == b"e":
            (tmp_path / "e").write_text("3")
        if entry.path:
            writer.add(entry, inner)
    writer.finish()
    os.close(fd)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        assert archive.getnames() == ["a", "e"]
        content = archive.extractfile("e")
        assert content is not None
        assert content.read() == b"3\0\0"
