"""Trees as text: one line a file, to make one and to read one back.

    dir etc 0755
    file etc/motd 0644 1:2 text=hello mtime=7 xattr.user.a=1
    link bin -> usr/bin
    hard etc/copy = etc/motd
    char dev/null 0666 rdev=1:3          (also `block`)
    fifo pipe 0600
    socket s 0755
    whiteout gone

Mode and owner may be left out (0755 for directories, 0644 for the rest, 0:0). A value with
blanks or odd bytes is written as a Python literal. Parents are made as needed.
"""

import ast
import os
import socket
import stat
from pathlib import Path

KINDS = {
    stat.S_IFDIR: "dir",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


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
    path = root / name
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
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.close()
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
    words = [kind, name]
    if kind == "link":
        words += ["->", os.readlink(path)]
    else:
        words.append(f"{stat.S_IMODE(found.st_mode):04o}")
    words.append(f"{found.st_uid}:{found.st_gid}")
    if kind == "file" and found.st_size:
        words.append("text=" + _word(path.read_bytes()))
    if kind in ("char", "block"):
        words.append(f"rdev={os.major(found.st_rdev)}:{os.minor(found.st_rdev)}")
    for key in sorted(os.listxattr(path, follow_symlinks=False)):
        words.append(f"xattr.{key}={_word(os.getxattr(path, key, follow_symlinks=False))}")
    if times:
        words.append(f"mtime={found.st_mtime_ns / 1e9:g}")
    return " ".join(words)
