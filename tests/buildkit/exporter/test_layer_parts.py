"""Large layers go straight into an archive, and the archive is the same as if they did not."""

import json
import os
import random
import threading
from pathlib import Path

import pytest

from buildkit.content.streams import CHUNK
from buildkit.exporter.assemble import Entry, assemble
from buildkit.exporter.destination import OutputError
from buildkit.exporter.layout import open_layout
from buildkit.exporter.oci import NamedImage, write_oci
from buildkit.oci.config import ContainerConfig
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.snapshot.compression import compressor
from buildkit.snapshot.snapshot import Snapshot
from tests.buildkit.exporter.stock import PLATFORM, ZSTD, Stock, parts

SIZE = 33 * CHUNK
CONTENTS = {"noise": random.Random(7).randbytes(SIZE), "small": b"s", "text": b"abc" * (SIZE // 3)}


def image_of(stock: Stock) -> NamedImage:
    """Make an image of two large layers and a small one between them."""
    snapshot: Snapshot | None = None
    entries = []
    for name, content in CONTENTS.items():
        active = stock.snapshots.prepare(snapshot)
        Path(active.upper, name).write_bytes(content)
        committed = stock.snapshots.commit(active, clamp=1_000_000)
        snapshot = committed.snapshot
        entries.append(Entry(name, committed.diff_id, "2020-01-01T00:00:00Z"))
    image = assemble(container=ContainerConfig(), platform=PLATFORM, entries=entries)
    return NamedImage(image.config, image.data, image.digest)


def write(stock: Stock, image: NamedImage, dest: str, how: Compression, *, as_tar: bool) -> None:
    with open_layout(dest, as_tar=as_tar) as layout:
        write_oci(layout, (image, image), stock.forms, stock.blobs, compressor(how))


def through_a_pipe(stock: Stock, image: NamedImage, pipe: Path, how: Compression) -> bytes:
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write(stock, image, str(pipe), how, as_tar=True)
    reader.join()
    return found[0]


@pytest.mark.parametrize("how", ["gzip", ZSTD])
def test_an_archive_is_the_same_wherever_it_goes_and_whatever_is_known(
    stock: Stock, other: Stock, tmp_path: Path, how: Compression
) -> None:
    image = image_of(stock)
    archives = []
    for number in range(2):
        write(stock, image, str(tmp_path / str(number)), how, as_tar=True)
        archives.append((tmp_path / str(number)).read_bytes())
    image_of(other)
    archives.append(through_a_pipe(other, image, tmp_path / "pipe", how))
    assert archives[1] == archives[0]
    assert archives[2] == archives[0]

    write(stock, image, str(tmp_path / "layout"), how, as_tar=False)
    found = parts(archives[0])
    assert found == {
        str(path.relative_to(tmp_path / "layout")): path.read_bytes()
        for path in (tmp_path / "layout").rglob("*")
        if path.is_file()
    }
    (entry, _) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(found[f"blobs/sha256/{entry['digest'][7:]}"])
    for layer in manifest["layers"]:
        content = found[f"blobs/sha256/{layer['digest'][7:]}"]
        assert (Digest.of(content), len(content)) == (layer["digest"], layer["size"])


def test_a_layer_that_is_made_into_a_directory_has_no_other_name(
    stock: Stock, tmp_path: Path
) -> None:
    image = image_of(stock)
    write(stock, image, str(tmp_path / "layout"), "gzip", as_tar=False)
    assert sorted(os.listdir(tmp_path / "layout")) == ["blobs", "index.json", "oci-layout"]
    for path in (tmp_path / "layout/blobs/sha256").iterdir():
        assert Digest.of(path.read_bytes()).hex == path.name
    # Of the large layers only text is worth a blob.
    sizes = [stock.blobs.size(digest) for digest in stock.blobs]
    assert len(sizes) == 2
    assert max(sizes) < SIZE // 10


def test_a_full_disk_leaves_no_archive(stock: Stock, tmp_path: Path) -> None:
    image = image_of(stock)
    with pytest.raises(OutputError, match="no space left"):
        write(stock, image, "/dev/full", "gzip", as_tar=True)
    assert sorted(os.listdir(tmp_path)) == ["root"]
