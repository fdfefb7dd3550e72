import os
from pathlib import Path

import pytest

from buildkit.state.removal import remove_tree
from buildkit.tree.entry import Entry, is_content
from buildkit.tree.fingerprint import Fingerprinter
from buildkit.tree.walk import outline, walk
from tests.kernel import needs_root
from tests.trees import make_tree, read_tree


def entries(root: Path) -> list[Entry]:
    fd = os.open(root, os.O_PATH)
    try:
        return [entry for entry, _ in walk(fd)]
    finally:
        os.close(fd)


def fingerprint(root: Path, seed: int = 1) -> str:
    fingerprinter = Fingerprinter(seed)
    fd = os.open(root, os.O_RDONLY)
    try:
        for entry, inner in walk(fd):
            fingerprinter.add(b"+", entry)
            if entry.size:
                fingerprinter.update(os.read(inner, entry.size))
    finally:
        os.close(fd)
    return fingerprinter.result()


def test_a_directory_comes_before_what_is_in_it_and_names_are_sorted_by_bytes(
    tmp_path: Path,
) -> None:
    make_tree(tmp_path, "file a/b/c", "file a-b", "file a/B", "file Z")
    assert [entry.path for entry in entries(tmp_path)] == [
        *(b"", b"Z", b"a", b"a/B", b"a/b", b"a/b/c", b"a-b"),
    ]


def test_depth_and_length_of_paths_do_not_matter(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=fd)
        inner = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    try:
        found = entries(tmp_path)
        assert len(found) == 1502
        assert found[-1].path == b"deep/" * 1500 + b"end"
        root = os.open(tmp_path, os.O_RDONLY)
        assert [entry.path for entry, _ in outline(root)] == [entry.path for entry in found]
        os.close(root)
    finally:
        # pytest's own cleaning is not up to it.
        remove_tree(str(tmp_path / "deep"))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("user.a", True),
        ("user.overlay.origin", False),
        ("trusted.overlay.opaque", False),
        ("trusted.x", False),
        ("security.capability", True),
        ("security.selinux", False),
        ("system.posix_acl_access", True),
    ],
)
def test_which_attributes_are_content(name: str, counts: bool) -> None:
    assert is_content(name) is counts


@needs_root
def test_a_tree_as_text_reads_as_it_was_written(tmp_path: Path) -> None:
    lines = [
        "file a 0644 0:0 text=x xattr.user.k=v",
        "char c 0600 0:0 rdev=1:3",
        "dir d 1777 3:4",
        "hard d/h = a",
        "fifo f 0600 0:0",
        "link l -> ../x 0:0",
        "whiteout w",
    ]
    assert read_tree(make_tree(tmp_path, *lines)) == lines


def test_times_do_not_count_in_a_fingerprint_and_all_else_does(tmp_path: Path) -> None:
    base = ["file a/x 0644 text=one", "link l -> a"]
    variants = [
        base,
        ["file a/x 0644 text=two", "link l -> a"],
        ["file a/x 0600 text=one", "link l -> a"],
        ["file a/y 0644 text=one", "link l -> a"],
        ["file a/x 0644 text=one", "link l -> b"],
        ["file a/x 0644 text=one xattr.user.k=v", "link l -> a"],
        ["file a/x 0644 text=one", "link l -> a", "dir b"],
    ]
    trees = [make_tree(tmp_path / str(number), *lines) for number, lines in enumerate(variants)]
    assert len({fingerprint(tree) for tree in trees}) == len(variants)
    later = make_tree(tmp_path / "later", base[0] + " mtime=77", base[1])
    assert fingerprint(later) == fingerprint(trees[0])
    assert fingerprint(later, seed=2) != fingerprint(later)
