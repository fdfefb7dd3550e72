"""Layers that were packed without the directories that lead to their files.

A tar with only `root/.bashrc` says nothing about `root`, so below it the directory keeps the
attributes it has in the layer under it. overlayfs takes them from the top-most layer, though.
For such a layer on a parent where that makes a difference, a second tree of hard links is made
once, whose implied directories have the parent's attributes. Such layers are rare; most tools
pack the parents.
"""

import os
import stat
from collections.abc import Iterable

from buildkit.snapshot.marks import is_opaque, make_opaque
from buildkit.tree.descent import Descent
from buildkit.tree.entry import read_xattrs
from buildkit.tree.walk import outline
from runtime.safepath import open_beneath

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
            there = os.fstat(fd)
            if (there.st_mode, there.st_uid, there.st_gid) != _PLAIN or read_xattrs(fd):
                found.append(path)
        finally:
            os.close(fd)
    return tuple(found)


def adapt(layer_fd: int, parent_fd: int, paths: Iterable[bytes], target: str) -> None:
    """Make `target` the tree of `layer_fd`, with the attributes of `paths` from the parent."""
    os.mkdir(target, 0o700)
    target_fd = os.open(target, _DIRECTORY)
    try:
        _link_tree(layer_fd, target_fd)
        for path in sorted(paths, reverse=True):
            _copy_attributes(open_beneath(parent_fd, path, _DIRECTORY), target_fd, path)
    finally:
        os.close(target_fd)


def _link_tree(source_fd: int, target_fd: int) -> None:
    late: list[tuple[int, int]] = []
    with Descent(source_fd) as source, Descent(target_fd) as target:
        depth = -1
        for entry, fd in outline(source_fd):
            name = entry.path.rpartition(b"/")[2]
            wanted = entry.path.count(b"/") if entry.path else -1
            while depth >= wanted and depth >= 0:
                os.utime(target.fd, ns=late.pop())
                source.leave()
                target.leave()
                depth -= 1
            if fd < 0:
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
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for name, value in read_xattrs(source):
        os.setxattr(target, name, value)
    if is_opaque(source):
        make_opaque(target)


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
