import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.cache.key import cache_key, key_document
from buildkit.cache.local import LocalCacheStore
from buildkit.cache.store import CachedStep
from buildkit.oci.digest import Digest
from buildkit.ops.chown import Owner
from buildkit.ops.earlier import Earlier, EarlierLayer, last_result
from buildkit.ops.selection import Entry
from buildkit.ops.target import Attributes
from buildkit.state.root import StateRoot
from tests.buildkit.solver.fakes import CREATED, copy
from tests.trees import make_tree

TIME = 7_000_000_000
HERE = Owner(os.getuid(), os.getgid())
WANTED = Attributes(0o644, HERE, (TIME, TIME), ())


def entry(content: bytes = b"content", xattrs: tuple[tuple[str, bytes], ...] = ()) -> Entry:
    return Entry(
        path="a",
        kind="file",
        mode=0o644,
        uid=0,
        gid=0,
        size=len(content),
        content=hashlib.sha256(content).hexdigest(),
        xattrs=xattrs,
        same=0,
    )


@pytest.fixture
def layer(tmp_path: Path) -> Iterator[EarlierLayer]:
    make_tree(tmp_path / "fs", "file d/a 0644 text=content mtime=7", "link d/l -> a", "dir d/e")
    os.utime(tmp_path / "fs/d/a", ns=(TIME, TIME))
    with EarlierLayer(str(tmp_path / "fs")) as layer:
        yield layer


def test_a_file_that_is_the_same_is_found(layer: EarlierLayer, tmp_path: Path) -> None:
    found = layer.find("d/a", entry(), WANTED)
    assert isinstance(found, Earlier)
    inode = os.stat(found.name, dir_fd=found.directory).st_ino
    assert inode == (tmp_path / "fs/d/a").stat().st_ino


@pytest.mark.parametrize(
    ("path", "what", "wanted"),
    [
        ("d/b", entry(), WANTED),
        ("none/a", entry(), WANTED),
        ("d/l", entry(), WANTED),
        ("d/e", entry(), WANTED),
        ("d/a/b", entry(), WANTED),
        ("d/a", entry(b"CONTENT"), WANTED),
        ("d/a", entry(b"longer content"), WANTED),
        ("d/a", entry(xattrs=(("user.a", b"1"),)), WANTED),
        ("d/a", entry(), WANTED._replace(mode=0o755)),
        ("d/a", entry(), WANTED._replace(owner=Owner(HERE.uid + 1, HERE.gid))),
        ("d/a", entry(), WANTED._replace(times=(TIME, TIME + 1))),
        ("d/a", entry(), WANTED._replace(times=None)),
    ],
)
def test_a_file_that_is_not_the_same_is_not_found(
    layer: EarlierLayer, path: str, what: Entry, wanted: Attributes
) -> None:
    assert layer.find(path, what, wanted) is None


def test_the_last_layer_of_the_same_copy_is_found(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        cache = LocalCacheStore(root)
        assert last_result(root, copy("src")) is None
        for number, path in enumerate(("src", "src", "other")):
            document = key_document(copy(path), [None, f"selection {number}"])
            layer = Digest.of(str(number).encode())
            step = CachedStep(cache_key(document), document, "", layer, None, CREATED)
            cache.save(step, {})
        root.database().execute("UPDATE step SET used=1 WHERE diff_id=?", (Digest.of(b"0"),))
        assert last_result(root, copy("src")) == Digest.of(b"1")
        assert last_result(root, copy("none")) is None
        root.close()
