"""Images as others see them: read from their archives with nothing of ours, as values and text.

In: an OCI image layout, or a directory of skopeo's `dir:` transport. Out: the config, and the tree
that the layers give when they are stacked, one line a file as in tests/trees.py.
Source: image-spec layer.md.
"""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.trees import Node

_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_XATTR = "SCHILY.xattr."
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class Image(NamedTuple):
    """An image: its documents, and its layers as uncompressed tars, bottom-most first."""

    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[bytes, ...]

    def tree(self, *, times: bool = False) -> dict[str, str]:
        """Return what the layers come to: a line for each path, in order of the paths."""
        return _told(_stacked(self.layers), times=times)


def read_layout(directory: Path) -> Image:
    """Return the first image of an OCI image layout."""
    index = json.loads((directory / "index.json").read_bytes())
    return _image(lambda digest: _blob(directory, digest), index["manifests"][0]["digest"])


def read_dir(directory: Path) -> Image:
    """Return the image in a directory of skopeo's `dir:` transport."""
    blobs = {"manifest": (directory / "manifest.json").read_bytes()}

    def blob(digest: str) -> bytes:
        return blobs.get(digest) or (directory / digest.partition(":")[2]).read_bytes()

    return _image(blob, "manifest")


def _blob(directory: Path, digest: str) -> bytes:
    return (directory / "blobs" / digest.replace(":", "/")).read_bytes()


def _image(blob: Any, digest: str) -> Image:
    manifest = json.loads(blob(digest))
    config = json.loads(blob(manifest["config"]["digest"]))
    layers = tuple(_inflated(blob(layer["digest"])) for layer in manifest["layers"])
    assert len(layers) == len(config["rootfs"].get("diff_ids") or [])
    return Image(manifest, config, layers)


def _inflated(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _stacked(layers: tuple[bytes, ...]) -> dict[str, list[Node]]:
    """Return a cell with the node of each path; names of one file share a cell."""
    tree: dict[str, list[Node]] = {}
    for layer in layers:
        below = list(tree)
        for name, member, content in _members(layer):
            folder, _, last = name.rpartition("/")
            if last == _OPAQUE:
                _remove(tree, [path for path in below if path.startswith(f"{folder}/")])
            elif last.startswith(_WHITEOUT):
                gone = os.path.join(folder, last.removeprefix(_WHITEOUT))
                _remove(tree, [path for path in below if f"{path}/".startswith(f"{gone}/")])
            elif member.islnk():
                cell = tree[_name(member.linkname)]
                _put(tree, name, cell[0])
                tree[name] = cell
            else:
                _put(tree, name, _node(member, content))
    return tree


def _members(layer: bytes) -> Iterator[tuple[str, tarfile.TarInfo, bytes]]:
    """Yield the members: first what a layer takes away, then what it brings."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        members = [(_name(member.name), member) for member in tar]
        for name, member in sorted(members, key=lambda pair: not _takes(pair[0])):
            file = tar.extractfile(member) if member.isreg() else None
            if name:
                yield name, member, b"" if file is None else file.read()


def _takes(name: str) -> bool:
    return os.path.basename(name).startswith(_WHITEOUT)


def _name(name: str) -> str:
    return os.path.normpath(name).lstrip("/") if os.path.normpath(name) != "." else ""


def _remove(tree: dict[str, list[Node]], paths: list[str]) -> None:
    for path in paths:
        tree.pop(path, None)


def _put(tree: dict[str, list[Node]], name: str, node: Node) -> None:
    if node.kind != "dir":
        _remove(tree, [path for path in tree if path.startswith(f"{name}/")])
    tree[name] = [node]


def _node(member: tarfile.TarInfo, content: bytes) -> Node:
    xattrs = {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith(_XATTR)
    }
    device = member.type in (tarfile.CHRTYPE, tarfile.BLKTYPE)
    return Node(
        _TYPES[member.type],
        member.mode & 0o7777,
        (member.uid, member.gid),
        content=content,
        target=member.linkname if member.issym() else "",
        rdev=(member.devmajor, member.devminor) if device else (0, 0),
        xattrs=xattrs,
        mtime=float(member.pax_headers.get("mtime", member.mtime)),
    )


def _told(tree: Mapping[str, list[Node]], *, times: bool) -> dict[str, str]:
    lines: dict[str, str] = {}
    first: dict[int, str] = {}
    for name in sorted(tree):
        cell = tree[name]
        known = first.setdefault(id(cell), name)
        if known != name:
            lines[name] = f"hard {name} = {known}"
        else:
            node = cell[0] if times else cell[0]._replace(mtime=None)
            lines[name] = node.line(name)
    return lines
