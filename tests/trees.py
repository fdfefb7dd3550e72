"""Trees as text: one line a file, to make one and to read one back.

    dir etc 0755
    file etc/motd 0644 1:2 text=hello mtime=7 xattr.user.a=1
    link bin -> usr/bin
    hard etc/copy = etc/motd
    char dev/null 0666 rdev=1:3          (also `block`)
    fifo pipe 0600
    socket s 0755
    whiteout gone
    pack bundle.tar.gz = etc

Mode and owner may be left out (0755 for directories, 0644 for the rest, 0:0). A value with blanks
or odd bytes, and such a name, is written as a Python literal. Parents are made as needed. `pack`
makes a tar of what is below another entry by then, compressed as its name says.
"""

import ast
import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

KINDS = {
    stat.S_IFDIR: "dir",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}

LONG = 4096
"""Bytes; what is longer is told by its digest."""


class Node(NamedTuple):
    """One file as it is told: `kind` is a value of KINDS; `rdev` major and minor."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: bytes = b""
    target: str = ""
    rdev: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = MappingProxyType({})
    mtime: float | None = None

    def line(self, name: str) -> str:
        """Return the line of this file under `name`."""
        words = [self.kind, _word(os.fsencode(name))]
        words += ["->", self.target] if self.kind == "link" else [f"{self.mode:04o}"]
        words.append(f"{self.owner[0]}:{self.owner[1]}")
        if len(self.content) > LONG:
            words.append(f"sha256={hashlib.sha256(self.content).hexdigest()}")
        elif self.content:
            words.append("text=" + _word(self.content))
        if self.kind in ("char", "block"):
            words.append(f"rdev={self.rdev[0]}:{self.rdev[1]}")
        words += [f"xattr.{key}={_word(value)}" for key, value in sorted(self.xattrs.items())]
        if self.mtime is not None:
            words.append(f"mtime={self.mtime:.9f}".rstrip("0").rstrip("."))
        return " ".join(words)


def make_tree(root: Path, *lines: str) -> Path:
    """Make the tree that `lines` describe below `root` (made if need be); return `root`."""
    root.mkdir(parents=True, exist_ok=True)
    times: list[tuple[Path, float]] = []
    for line in lines:
        for single in line.strip().splitlines():
            _make(root, single.split(), times)
    for path, mtime in reversed(times):
        os.utime(path, (mtime, mtime), follow_symlinks=False)
    return root


def read_tree(root: Path, *, times: bool = False) -> list[str]:
    """Return the lines that describe what is below `root`, sorted by path."""
    seen: dict[tuple[int, int], str] = {}
    found: list[str] = []
    for directory, names, files in os.walk(root):
        for name in names + files:
            found.append(os.path.relpath(os.path.join(directory, name), root))  # noqa: PERF401
    return [_read(root, path, seen, times) for path in sorted(found)]


def _make(root: Path, words: list[str], times: list[tuple[Path, float]]) -> None:
    kind, name, *rest = words
    path = root / os.fsdecode(_bytes(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to(rest.pop(1))
        rest.pop(0)
    elif kind == "hard":
        os.link(root / rest[1], path)
        return
    elif kind == "whiteout":
        os.mknod(path, stat.S_IFCHR, 0)
        return
    elif kind == "pack":
        pack(root / rest[1], path)
        return
    values = dict(word.split("=", 1) for word in rest if "=" in word)
    _make_node(kind, path, values)
    owner = next((word for word in rest if ":" in word and "=" not in word), "0:0")
    uid, gid = (int(number) for number in owner.split(":"))
    if os.geteuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)
    if kind != "link":
        mode = next((word for word in rest if word.isdigit()), "0755" if kind == "dir" else "0644")
        path.chmod(int(mode, 8))
    for key, value in values.items():
        if key.startswith("xattr."):
            os.setxattr(path, key[6:], _bytes(value), follow_symlinks=False)
    if "mtime" in values:
        times.append((path, float(values["mtime"])))


def _make_node(kind: str, path: Path, values: dict[str, str]) -> None:
    if kind == "dir":
        path.mkdir(exist_ok=True)
    elif kind == "file":
        path.write_bytes(_bytes(values.get("text", "")))
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o755)
    elif kind in ("char", "block"):
        major, minor = (int(number) for number in values["rdev"].split(":"))
        os.mknod(path, stat.S_IFCHR if kind == "char" else stat.S_IFBLK, os.makedev(major, minor))
    elif kind != "link":
        raise ValueError(f"no kind of file: {kind}")


def _bytes(value: str) -> bytes:
    if value[:2] in ("b'", 'b"'):
        literal = ast.literal_eval(value)
        assert isinstance(literal, bytes)
        return literal
    return value.encode()


def _word(value: bytes) -> str:
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        return repr(value)
    return text if text.isprintable() and " " not in text else repr(value)


def _read(root: Path, name: str, seen: dict[tuple[int, int], str], times: bool) -> str:
    path = root / name
    found = path.lstat()
    kind = KINDS[stat.S_IFMT(found.st_mode)]
    if kind == "char" and found.st_rdev == 0:
        return f"whiteout {name}"
    if kind == "file" and found.st_nlink > 1:
        first = seen.setdefault((found.st_dev, found.st_ino), name)
        if first != name:
            return f"hard {name} = {first}"
    keys = os.listxattr(path, follow_symlinks=False)
    node = Node(
        kind,
        stat.S_IMODE(found.st_mode),
        (found.st_uid, found.st_gid),
        content=path.read_bytes() if kind == "file" else b"",
        target=os.readlink(path) if kind == "link" else "",
        rdev=(os.major(found.st_rdev), os.minor(found.st_rdev)),
        xattrs={key: os.getxattr(path, key, follow_symlinks=False) for key in keys},
        mtime=found.st_mtime_ns / 1e9 if times else None,
    )
    return node.line(name)


def _timeless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = 0
    return member


def pack(directory: Path, archive: Path) -> None:
    """Make a tar of what is in `directory`, compressed as the name of `archive` says."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in sorted(os.listdir(directory)):
            tar.add(directory / name, name, filter=_timeless)
    compress = COMPRESSORS.get(archive.suffix, bytes)
    archive.write_bytes(compress(whole.getvalue()))
