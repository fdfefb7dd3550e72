"""Image layouts and docker archives: what is in them, and that equal images give equal bytes."""

import gzip
import io
import json
from pathlib import Path

import pytest

from buildkit.content.streams import copy
from buildkit.errors import StoreError
from buildkit.oci.digest import Digest
from buildkit.oci.media_types import Compression
from buildkit.oci.reference import Reference
from buildkit.snapshot.compression import DecompressingReader, compressor
from tests.buildkit.exporter.stock import ZSTD, Stock, parts

TREE = (
    ("file etc/motd 0644 text=hello",),
    ("file usr/bin/tool 0755 text=tool", "link bin -> usr/bin"),
)


def test_a_layout_has_index_manifest_config_and_layers_by_digest(stock: Stock) -> None:
    image = stock.image(*TREE)
    found = parts(stock.oci(image))

    index = json.loads(found["index.json"])
    (entry,) = index["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/library/app:1",
        "org.opencontainers.image.created": "2020-01-01T00:00:00Z",
        "org.opencontainers.image.ref.name": "1",
    }
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    manifest = json.loads(found[f"blobs/sha256/{entry['digest'][7:]}"])
    assert manifest["config"]["digest"] == image.digest
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name, content in found.items():
        if name.startswith("blobs/"):
            assert Digest.of(content).hex == name.rpartition("/")[2]
    layers = [gzip.decompress(found[f"blobs/sha256/{d['digest'][7:]}"]) for d in manifest["layers"]]
    assert tuple(map(Digest.of, layers)) == image.config.diff_ids


def test_a_docker_archive_names_config_and_plain_layers(stock: Stock) -> None:
    image = stock.image(*TREE)
    found = parts(stock.docker(image))

    (entry,) = json.loads(found["manifest.json"])
    assert entry["RepoTags"] == ["app:1"]
    assert Digest.of(found[entry["Config"]]) == image.digest
    assert tuple(Digest.of(found[name]) for name in entry["Layers"]) == image.config.diff_ids


def _decompressed(data: bytes, compression: Compression) -> bytes:
    reader = DecompressingReader(io.BytesIO(data), compression, "layer")
    found: list[bytes] = []
    copy(reader, found.append)
    return b"".join(found)


@pytest.mark.parametrize("compression", ["none", "gzip", ZSTD])
def test_layers_have_the_wanted_compression(stock: Stock, compression: Compression) -> None:
    image = stock.image(*TREE)
    found = parts(stock.oci(image, compression=compression))
    (entry,) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(found[f"blobs/sha256/{entry['digest'][7:]}"])
    ending = {"none": "", "gzip": "+gzip", "zstd": "+zstd"}[compression]
    for layer, diff_id in zip(manifest["layers"], image.config.diff_ids, strict=True):
        data = found[f"blobs/sha256/{layer['digest'][7:]}"]
        assert layer["mediaType"] == f"application/vnd.oci.image.layer.v1.tar{ending}"
        assert layer["size"] == len(data)
        plain = _decompressed(data, compression)
        assert Digest.of(plain) == diff_id


def test_equal_images_give_equal_archives_in_any_store(stock: Stock, other: Stock) -> None:
    assert stock.oci(stock.image(*TREE)) == other.oci(other.image(*TREE))
    assert stock.docker(stock.image(*TREE)) == other.docker(other.image(*TREE))


def test_layers_are_compressed_once(stock: Stock) -> None:
    image = stock.image(*TREE)
    first = stock.oci(image)
    kept = {digest: Path(stock.blobs.path(digest)).stat().st_mtime_ns for digest in stock.blobs}

    assert stock.oci(image) == first
    assert {
        digest: Path(stock.blobs.path(digest)).stat().st_mtime_ns for digest in stock.blobs
    } == kept


def test_images_share_what_they_have_in_common(stock: Stock) -> None:
    one = stock.image(TREE[0], name="one")
    two = stock.image(*TREE, name="two")
    found = parts(stock.oci(one, two))
    assert len(json.loads(found["index.json"])["manifests"]) == 2
    assert len([name for name in found if name.startswith("blobs/")]) == 2 + 2 + 2


def test_each_name_is_an_entry_of_the_index(stock: Stock) -> None:
    image = stock.image(*TREE)
    names = (*image.names, Reference.parse("localhost/b:2"))
    found = parts(stock.oci(image._replace(names=names)))
    entries = json.loads(found["index.json"])["manifests"]
    assert [entry["annotations"]["io.containerd.image.name"] for entry in entries] == [
        "docker.io/library/app:1",
        "localhost/b:2",
    ]


def test_a_damaged_layer_is_an_error_and_not_an_archive(stock: Stock) -> None:
    image = stock.image(*TREE)
    layer = Path(stock.root.path("layers", image.config.diff_ids[0].hex, "fs/etc/motd"))
    layer.write_text("jello")
    with pytest.raises(StoreError, match="is damaged"):
        stock.docker(image)


def test_a_damaged_blob_is_an_error_and_not_an_archive(stock: Stock) -> None:
    image = stock.image(*TREE)
    stock.oci(image)
    form = stock.forms.of(image.config.diff_ids, compressor("gzip"))[0]
    blob = Path(stock.blobs.path(form.digest))
    data = bytearray(blob.read_bytes())
    data[20] ^= 1
    blob.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        stock.oci(image)


def test_an_image_without_layers_is_written_too(stock: Stock) -> None:
    image = stock.image()
    assert json.loads(parts(stock.docker(image))["manifest.json"])[0]["Layers"] == []
    assert len(parts(stock.oci(image))) == 4
