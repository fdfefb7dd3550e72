"""Loading images: what comes in is what went out, and nothing hostile comes in."""

import bz2
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildkit.archive.layouts import resolve_layout, split_layout
from buildkit.errors import BuildError, ImageError, StoreError
from buildkit.image_list import listed
from buildkit.oci.digest import Digest
from buildkit.oci.platforms import Platform
from tests.buildkit.exporter.stock import PLATFORM, Stock, needs_zstd, packed, parts

TREE = (
    ("file etc/motd 0644 1:2 text=hello mtime=7", "hard etc/copy = etc/motd", "dir tmp 01777"),
    ("file usr/bin/tool 0755 text=tool", "link bin -> usr/bin", "whiteout etc/copy"),
)


def _archive(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "archive.tar"
    path.write_bytes(data)
    return path


def _docker_with(stock: Stock, **changes: object) -> bytes:
    """Return a docker archive of one image whose manifest.json has other members."""
    found = parts(stock.docker(stock.image(*TREE)))
    (entry,) = json.loads(found["manifest.json"])
    manifest = json.dumps([{**entry, **changes}]).encode()
    return packed({**found, "manifest.json": manifest})


@pytest.mark.parametrize(
    "kind",
    ["oci", "docker", "docker gzip", pytest.param("oci zstd", marks=needs_zstd), "oci none"],
)
def test_what_is_loaded_is_what_was_saved(
    stock: Stock, other: Stock, tmp_path: Path, kind: str
) -> None:
    image = stock.image(*TREE)
    form, _, compression = kind.partition(" ")
    writer = stock.oci if form == "oci" else stock.docker
    data = writer(image, compression=compression) if compression else writer(image)  # type: ignore[arg-type]

    (loaded,) = other.load(_archive(tmp_path, data))

    assert loaded.digest == image.digest
    assert loaded.names == image.names
    assert other.tree(loaded) == stock.tree(image)
    again = other.named("app:1")
    if form == "oci":
        assert other.oci(again) == data
    assert other.docker(again) == stock.docker(image)


def test_loading_twice_changes_nothing(stock: Stock, other: Stock, tmp_path: Path) -> None:
    archive = _archive(tmp_path, stock.oci(stock.image(*TREE)))
    other.load(archive)
    before = sorted(other.blobs)
    other.load(archive)
    assert sorted(other.blobs) == before


@needs_zstd
def test_an_image_leaves_with_its_manifest_also_after_another_came_with_its_layers(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    image = stock.image(*TREE)
    data = stock.oci(image)
    other.load(_archive(tmp_path, data))
    other.load(_archive(tmp_path, stock.oci(image._replace(names=()), compression="zstd")))
    other.load(_archive(tmp_path, data))
    assert other.oci(other.named("app:1")) == data


@needs_zstd
def test_layers_of_others_keep_their_form_unless_forced(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    other.load(_archive(tmp_path, stock.oci(stock.image(*TREE), compression="zstd")))
    kept = other.oci(other.named("app:1"), compression="gzip")
    forced = other.oci(other.named("app:1"), compression="gzip", force=True)
    assert b"tar+zstd" in kept
    assert b"tar+zstd" not in forced
    assert b"tar+gzip" in forced


def test_a_directory_is_loaded_like_an_archive(stock: Stock, other: Stock, tmp_path: Path) -> None:
    layout = _unpacked(tmp_path / "layout", stock.oci(stock.image(*TREE)))
    assert other.load(layout)[0].names == stock.image(*TREE).names


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_a_compressed_archive_is_loaded(
    stock: Stock, other: Stock, tmp_path: Path, compress: object
) -> None:
    data = stock.docker(stock.image(*TREE))
    assert callable(compress)
    assert other.load(_archive(tmp_path, compress(data)))[0].digest == stock.image(*TREE).digest


def test_links_between_members_are_followed_as_docker_used_to_write_them(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    found = parts(stock.docker(stock.image(*TREE)))
    (entry,) = json.loads(found["manifest.json"])
    members: dict[str, bytes | str] = dict(found)
    names = []
    for number, layer in enumerate(entry["Layers"]):
        names.append(f"{number}/layer.tar")
        members[names[-1]] = f"../{layer}"
    members["manifest.json"] = json.dumps([{**entry, "Layers": names}]).encode()
    assert other.load(_archive(tmp_path, packed(members)))[0].digest == stock.image(*TREE).digest


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "missing"])
def test_a_link_to_anywhere_else_leads_nowhere(
    stock: Stock, other: Stock, tmp_path: Path, target: str
) -> None:
    found = parts(stock.docker(stock.image(*TREE)))
    (entry,) = json.loads(found["manifest.json"])
    members: dict[str, bytes | str] = {**found, entry["Config"]: target}
    with pytest.raises(ImageError):
        other.load(_archive(tmp_path, packed(members)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Config": "../../etc/passwd"}, "has no"),
        ({"Config": "/etc/passwd"}, "has no"),
        ({"Config": 7}, "not a string"),
        ({"Layers": []}, "0 layers where the config names 2"),
        ({"Layers": ["a", "b"]}, "has no"),
        ({"Layers": "a"}, "not an array"),
        ({"RepoTags": ["A B"]}, "impossibly"),
        ({"RepoTags": {"a": 1}}, "not an array"),
    ],
)
def test_a_wrong_manifest_is_an_error(
    stock: Stock, other: Stock, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        other.load(_archive(tmp_path, _docker_with(stock, **changes)))
    assert list(listed(other.images)) == []


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"{}", b"nonsense", b"[" * 100_000, b'[{"Config":' + b"9" * 10_000 + b"}]"],
)
def test_a_garbled_manifest_is_an_error(
    stock: Stock, other: Stock, tmp_path: Path, manifest: bytes
) -> None:
    with pytest.raises(ImageError):
        other.load(_archive(tmp_path, packed({"manifest.json": manifest})))


@pytest.mark.parametrize("what", ["config", "layer", "manifest"])
@pytest.mark.parametrize("damage", ["change", "cut", "lengthen"])
def test_a_blob_that_is_not_what_its_digest_says_is_an_error(
    stock: Stock, other: Stock, tmp_path: Path, what: str, damage: str
) -> None:
    found = parts(stock.oci(stock.image(*TREE)))
    digest = json.loads(found["index.json"])["manifests"][0]["digest"]
    manifest = json.loads(found[f"blobs/sha256/{digest[7:]}"])
    chosen = {
        "manifest": digest,
        "config": manifest["config"]["digest"],
        "layer": manifest["layers"][1]["digest"],
    }[what]
    name = f"blobs/sha256/{chosen[7:]}"
    data = found[name]
    found[name] = {
        "change": data[:30] + bytes([data[30] ^ 1]) + data[31:],
        "cut": data[:-1],
        "lengthen": data + b"\n",
    }[damage]
    with pytest.raises(ImageError):
        other.load(_archive(tmp_path, packed(dict(found))))
    assert list(listed(other.images)) == []


def test_a_layer_is_not_taken_for_another_that_is_here(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    """An archive says that its layer has the diff ID of a layer of ours: a lie."""
    mine = other.image(*TREE)
    evil = parts(stock.oci(stock.image(("file etc/motd 0644 text=evil",), TREE[1])))
    (entry,) = json.loads(evil["index.json"])["manifests"]
    manifest = json.loads(evil[f"blobs/sha256/{entry['digest'][7:]}"])
    config = mine.data
    manifest["config"] = {**manifest["config"], "digest": mine.digest, "size": len(config)}
    document = json.dumps(manifest).encode()
    digest = Digest.of(document)
    index = {
        "schemaVersion": 2,
        "manifests": [{**entry, "digest": digest, "size": len(document)}],
    }
    members = {
        **evil,
        f"blobs/sha256/{mine.digest.hex}": config,
        f"blobs/sha256/{digest.hex}": document,
        "index.json": json.dumps(index).encode(),
    }
    with pytest.raises(ImageError, match="not what its digest says"):
        other.load(_archive(tmp_path, packed(dict(members))))

    assert b"evil" not in b"".join(
        gzip.decompress(data) for data in parts(other.oci(mine)).values() if data[:2] == b"\x1f\x8b"
    )


def test_an_index_chooses_the_platform_of_this_machine(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    here = Platform.host()
    found = parts(stock.oci(stock.image(*TREE)))
    (entry,) = json.loads(found["index.json"])["manifests"]
    wanted = {"os": here.os, "architecture": here.architecture}
    inner = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                **entry,
                "digest": f"sha256:{'0' * 64}",
                "platform": {"os": "plan9", "architecture": "x"},
            },
            {**entry, "platform": wanted},
            {
                **entry,
                "digest": f"sha256:{'1' * 64}",
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
            },
        ],
    }
    document = json.dumps(inner).encode()
    digest = Digest.of(document)
    outer = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": inner["mediaType"], "digest": digest, "size": len(document)}],
    }
    members = {
        **found,
        f"blobs/sha256/{digest.hex}": document,
        "index.json": json.dumps(outer).encode(),
    }
    (loaded,) = other.load(_archive(tmp_path, packed(dict(members))))
    assert loaded.digest == stock.image(*TREE).digest
    assert loaded.names == ()


ARTIFACT = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": str(Digest.of(b"{}")),
        "size": 2,
    },
    "layers": [{"mediaType": "text/plain", "digest": str(Digest.of(b"{}")), "size": 2}],
}


@pytest.mark.parametrize("others", ["none", "lost", "attestation", "artifact"])
def test_the_only_image_of_an_index_is_loaded_whatever_it_is_for(
    stock: Stock, other: Stock, tmp_path: Path, others: str
) -> None:
    found = parts(stock.oci(stock.image(*TREE)))
    (entry,) = json.loads(found["index.json"])["manifests"]
    artifact = json.dumps(ARTIFACT).encode()
    lost = {**entry, "digest": f"sha256:{'0' * 64}"}
    beside = {
        "lost": {**lost, "platform": {"os": "linux", "architecture": Platform.host().architecture}},
        "attestation": {**lost, "annotations": {"vnd.docker.reference.type": "x"}},
        "artifact": {
            "mediaType": ARTIFACT["mediaType"],
            "digest": str(Digest.of(artifact)),
            "size": len(artifact),
        },
    }
    inner = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {**entry, "platform": {"os": "plan9", "architecture": "x"}},
            *([beside[others]] if others in beside else []),
        ],
    }
    document = json.dumps(inner).encode()
    name = {"io.containerd.image.name": "docker.io/library/app:1"}
    top = {"mediaType": inner["mediaType"], "digest": str(Digest.of(document))}
    outer = {"manifests": [{**top, "size": len(document), "annotations": name}]}
    members = {
        **found,
        **{f"blobs/sha256/{Digest.of(one).hex}": one for one in (document, artifact, b"{}")},
        "index.json": json.dumps(outer).encode(),
    }
    (loaded,) = other.load(_archive(tmp_path, packed(dict(members))))
    assert loaded.digest == stock.image(*TREE).digest
    assert [name.familiar for name in loaded.names] == ["app:1"]


def test_a_layout_without_an_image_says_so(stock: Stock, tmp_path: Path) -> None:
    members = {"oci-layout": b"{}", "index.json": b'{"manifests":[]}'}
    with pytest.raises(ImageError, match=r"holds no image: its index\.json names none"):
        stock.load(_archive(tmp_path, packed(dict(members))))


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        ({"org.opencontainers.image.ref.name": "latest"}, []),
        ({"org.opencontainers.image.ref.name": "v1.2"}, []),
        ({"org.opencontainers.image.ref.name": "localhost/app:2"}, ["localhost/app:2"]),
        ({"org.opencontainers.image.ref.name": "app"}, ["app:latest"]),
        ({"io.containerd.image.name": "quay.io/a/b:c"}, ["quay.io/a/b:c"]),
        ({}, []),
    ],
)
def test_names_come_from_the_annotations_that_are_in_use(
    stock: Stock, other: Stock, tmp_path: Path, annotations: dict[str, str], names: list[str]
) -> None:
    found = parts(stock.oci(stock.image(*TREE)))
    index = json.loads(found["index.json"])
    index["manifests"][0]["annotations"] = annotations
    found["index.json"] = json.dumps(index).encode()
    (loaded,) = other.load(_archive(tmp_path, packed(dict(found))))
    assert [name.familiar for name in loaded.names] == names


def test_an_archive_of_something_else_is_an_error(stock: Stock, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="holds no image"):
        stock.load(_archive(tmp_path, packed({"readme": b"hello"})))
    with pytest.raises(ImageError, match="not a tar"):
        stock.load(_archive(tmp_path, b"hello" * 1000))
    with pytest.raises(ImageError, match="no such file"):
        stock.load(tmp_path / "missing")


def test_a_cut_archive_leaves_nothing(stock: Stock, other: Stock, tmp_path: Path) -> None:
    data = stock.oci(stock.image(*TREE))
    for size in range(0, len(data) - 1024, 4096):
        with pytest.raises(ImageError):
            other.load(_archive(tmp_path, data[:size]))
    assert list(listed(other.images)) == []


def test_noise_in_an_archive_gives_the_image_or_an_error(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    image = stock.image(*TREE)
    data = stock.docker(image)
    for at in range(0, len(data), 997):
        noisy = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        try:
            loaded = other.load(_archive(tmp_path, noisy))
        except BuildError as error:
            assert not isinstance(error, StoreError)
            continue
        for one in loaded:
            if one.digest == image.digest:
                assert other.tree(one) == stock.tree(image)


def test_standard_input_may_be_a_pipe(stock: Stock, tmp_path: Path) -> None:
    archive = _archive(tmp_path, stock.docker(stock.image(*TREE)))
    program = (
        "import sys\n"
        "from buildkit.archive.members import open_members\n"
        "from buildkit.state.root import StateRoot\n"
        "with StateRoot.open(sys.argv[1]) as root, open_members('-', root) as members:\n"
        "    print(members.size('manifest.json'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "third")],
        input=archive.read_bytes(),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert int(done.stdout) > 0


def _unpacked(path: Path, archive: bytes) -> Path:
    for name, content in parts(archive).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("ending", ["", ":1", "@digest", ":x@digest"])
def test_a_layout_reference_finds_its_image(
    stock: Stock, other: Stock, tmp_path: Path, ending: str
) -> None:
    archive = stock.oci(stock.image(*TREE))
    layout = _unpacked(tmp_path / "layout", archive)
    digest = json.loads(parts(archive)["index.json"])["manifests"][0]["digest"]
    reference = f"oci-layout://{layout}{ending.replace('digest', digest)}"

    found = resolve_layout(reference, PLATFORM, other.root, other.snapshots)

    assert found.config_digest == stock.image(*TREE).digest
    assert other.snapshots.has(found.config.diff_ids)


def test_a_layout_reference_to_nothing_is_an_error(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    layout = _unpacked(tmp_path / "layout", stock.oci(stock.image(*TREE)))
    with pytest.raises(ImageError, match="no image called 'x'"):
        resolve_layout(f"oci-layout://{layout}:x", PLATFORM, other.root, other.snapshots)
    with pytest.raises(ImageError, match="is no image layout"):
        resolve_layout(f"oci-layout://{tmp_path}/no", PLATFORM, other.root, other.snapshots)


def test_a_link_in_a_layout_directory_is_not_followed(
    stock: Stock, other: Stock, tmp_path: Path
) -> None:
    layout = _unpacked(tmp_path / "layout", stock.oci(stock.image(*TREE)))
    name = next((layout / "blobs/sha256").iterdir())
    name.rename(tmp_path / "elsewhere")
    name.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ImageError):
        other.load(layout)


def test_layout_references_are_split(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    assert split_layout(f"oci-layout://{tmp_path}/a:b") == (f"{tmp_path}/a:b", "")
    assert split_layout(f"oci-layout://{tmp_path}/x:1") == (f"{tmp_path}/x", "1")
    assert split_layout("oci-layout:///x") == ("/x", "")


def test_the_reader_of_a_directory_refuses_what_is_no_file(stock: Stock, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    layout.mkdir()
    (layout / "oci-layout").write_text("{}")
    os.mkfifo(layout / "index.json")
    with pytest.raises(ImageError):
        stock.load(layout)
