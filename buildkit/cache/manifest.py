"""Per-file manifests: what exactly a COPY selected, kept so that a miss can name the file.

In and out: bytes, one file a line in any order, each line the JSON list
`[path, kind, mode, uid, gid, content, xattrs, same]` with the fields of `FileState`, the last one
only where it says something. They only explain; what decides is the digest of the selection in the
key.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quoted

from runtime.values import NamedTuple


class FileState(NamedTuple):
    """One file as its selection saw it.

    `path` is relative to the root of its origin. `kind`: file, dir, link, char, block, fifo or
    socket. `mode`: the 12 permission bits. `content`: the sha256 of a file, the target of a link,
    `MAJOR:MINOR` of a device, else empty. `xattrs`: one text for all of them, empty for none.
    `same`: the first path of the same file, where that is not this one (hard links).
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    content: str
    xattrs: str = ""
    same: str = ""


def line(state: FileState) -> bytes:
    """Return `state` as a line, with its newline."""
    # What json.dumps gives, in an eighth of its time; there are as many as files.
    path, kind, mode, uid, gid, content, xattrs, same = state
    last = f",{quoted(same)}]\n" if same else "]\n"
    words = f"[{quoted(path)},{quoted(kind)},{mode},{uid},{gid},{quoted(content)},{quoted(xattrs)}"
    return (words + last).encode("ascii")


def differences(old: bytes, new: bytes) -> dict[str, tuple[FileState | None, FileState | None]]:
    """Return, by path in order, what a file was and what it is, for all that are not the same.

    Only lines that differ are looked into, so two manifests of 50,000 files cost two sets.
    """
    before, after = set(old.splitlines()), set(new.splitlines())
    gone = {state.path: state for state in map(_parse, before - after) if state is not None}
    come = {state.path: state for state in map(_parse, after - before) if state is not None}
    return {path: (gone.get(path), come.get(path)) for path in sorted({*gone, *come})}


def _parse(text: bytes) -> FileState | None:
    """Return a line's value, or None for one that is not of this format (it explains nothing)."""
    try:
        path, kind, mode, uid, gid, content, xattrs, *same = json.loads(text)
    except (ValueError, TypeError):
        return None
    numbers = (mode, uid, gid)
    if not all(isinstance(one, int) for one in numbers):
        return None
    texts = (str(content), str(xattrs), *map(str, same[:1]))
    return FileState(str(path), str(kind), mode, uid, gid, *texts)
