"""Layers that overlayfs alone would show wrong on some parents, made fit for one of them.

A tar with only `root/.bashrc` says nothing about `root`, so the directory keeps the attributes it
has in the layer under it. overlayfs takes them from the top-most layer, though. And a deletion in
a directory that is not below deletes nothing, but overlayfs lists its whiteout, for it does not
merge a directory that only one layer has. For such a layer on a parent where it makes a difference,
a second tree of hard links is made once. Such layers are rare; most tools pack the parents and
delete only what is there.
"""

from __future__ import annotations

import os
import stat

from buildkit.snapshot.marks import copy_mark, seen_in
from buildkit.tree.descent import Descent
from buildkit.tree.entry import read_xattrs
from buildkit.tree.walk import outline
from runtime import owners
from runtime.safepath import open_beneath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN = (stat.S_IFDIR | 0o755, 0, 0)


def differing(implied: Iterable[bytes], parent_fd: int) -> tuple[bytes, ...]:
    """Return the implied directories that are not plain ones (0755, 0:0) in the parent's tree."""
    found = []
    for path in implied:
        try:
            fd = open_beneath(parent_fd, path, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            there = owners.stat_of(fd)
            if (there.st_mode, there.st_uid, there.st_gid) != _PLAIN or read_xattrs(fd):
                found.append(path)
        finally:
            os.close(fd)
    return tuple(found)


def pointless(directories: Iterable[bytes], parent_fd: int | None) -> frozenset[bytes]:
    """Return those of the directories with whiteouts that the parent's tree does not have."""
    found = set()
    for path in directories:
        if parent_fd is None:
            found.add(path)
        elif path:  # the root is always there
            try:
                os.close(open_beneath(parent_fd, path, _DIRECTORY))
            except (FileNotFoundError, NotADirectoryError):
                found.add(path)
    return frozenset(found)


def adapt(
    layer_fd: int,
    target: str,
    *,
    parent_fd: int | None,
    directories: Iterable[bytes],
    void: frozenset[bytes],
) -> None:
    """Make `target` the tree of `layer_fd`, as it is on the parent.

    `directories` get the attributes they have there; whiteouts in those of `void` are left out.
    """
    os.mkdir(target, 0o700)
    target_fd = os.open(target, _DIRECTORY)
    try:
        _link_tree(layer_fd, target_fd, void)
        for path in sorted(directories, reverse=True):
            assert parent_fd is not None
            _copy_attributes(open_beneath(parent_fd, path, _DIRECTORY), target_fd, path)
    finally:
        os.close(target_fd)


def _link_tree(source_fd: int, target_fd: int, void: frozenset[bytes]) -> None:
    late: list[tuple[int, int]] = []
    with Descent(source_fd) as source, Descent(target_fd) as target:
        depth = -1
        for entry, fd in outline(source_fd, seen_in(source_fd)):
            directory, _, name = entry.path.rpartition(b"/")
            wanted = entry.path.count(b"/") if entry.path else -1
            while depth >= wanted and depth >= 0:
                os.utime(target.fd, ns=late.pop())
                source.leave()
                target.leave()
                depth -= 1
            if fd < 0:
                if directory in void and stat.S_ISCHR(entry.mode) and entry.rdev == 0:
                    continue
                os.link(
                    name, name, src_dir_fd=source.fd, dst_dir_fd=target.fd, follow_symlinks=False
                )
                continue
            if entry.path:
                os.mkdir(name, 0o700, dir_fd=target.fd)
                source.enter(name)
                target.enter(name)
                depth += 1
                late.append((entry.mtime_ns, entry.mtime_ns))
            _copy_directory(fd, target.fd)
        while late:
            os.utime(target.fd, ns=late.pop())
            target.leave()


def _copy_directory(source: int, target: int) -> None:
    found = owners.stat_of(source)
    owners.give(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for name, value in read_xattrs(source):
        os.setxattr(target, name, value)
    copy_mark(source, target)


def _copy_attributes(source: int, target_root: int, path: bytes) -> None:
    try:
        target = open_beneath(target_root, path, _DIRECTORY)
        try:
            found = os.fstat(source)
            _copy_directory(source, target)
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)
