"""Images of several platforms, written out: an index, or a directory for each."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import UsageError
from buildkit.exporter.assemble import Image
from buildkit.exporter.attributes import parse_output
from buildkit.exporter.destination import OutputError
from buildkit.exporter.index import keep_index, stored_index
from buildkit.exporter.oci import NamedImage
from buildkit.exporter.registry_index import push_index
from buildkit.exporter.several import export_several
from buildkit.exporter.table import Exported
from buildkit.exporter.tar import Trees
from buildkit.oci.media_types import DOCKER_LIST, INDEX
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event
from buildkit.registry.client import Registry
from buildkit.snapshot.compression import compressor
from tests import schemas
from tests.buildkit.exporter.stock import Stock
from tests.registry import Registry as Server
from tests.registry import running

ARM64 = Platform("linux", "arm64")
SHARED = ("file shared 0644 text=shared", "dir d 0755")
TAGS = (Reference.parse("app:1"),)


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Registry]:
    with Cancel() as cancel, Registry(cancel, environment={"HOME": str(tmp_path)}) as found:
        yield found


def images(stock: Stock, *, apart: bool = False) -> list[Image]:
    """Return two images with one layer in common, unless they are to be wholly `apart`."""
    found = []
    for number, name in enumerate(("one", "two")):
        layers = ((f"file {name} 0644 text={name}",), *(() if apart else (SHARED,)))
        made = stock.image(*layers, name="")
        config = made.config._replace(platform=ARM64) if number else made.config
        found.append(Image.of(config))
        stock.images.add(found[-1].data)
    return found


def export(stock: Stock, text: str, *, apart: bool = False) -> Exported:
    events: list[Event] = []
    with Cancel() as cancel:
        return export_several(
            parse_output(text), images(stock, apart=apart), TAGS, stock, stock.blobs,
            events.append, cancel,
        )  # fmt: skip


def test_a_layout_holds_the_index(stock: Stock, tmp_path: Path) -> None:
    text = (
        f"type=oci,dest={tmp_path}/o,tar=false,annotation-index.a=b,annotation-index-descriptor.c=d"
    )
    written = export(stock, f"{text},annotation.e=f,annotation-manifest[linux/arm64].g=h").manifest
    (entry,) = json.loads((tmp_path / "o/index.json").read_bytes())["manifests"]
    assert written is not None
    assert (entry["digest"], entry["mediaType"]) == (written.digest, INDEX)
    assert entry["annotations"]["c"] == "d"
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1"
    blobs = tmp_path / "o/blobs/sha256"
    index = json.loads((blobs / entry["digest"][7:]).read_bytes())
    schemas.check(index, schemas.INDEX)
    assert index["annotations"] == {"a": "b"}
    assert [one["platform"] for one in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
    ]
    manifests = [json.loads((blobs / one["digest"][7:]).read_bytes()) for one in index["manifests"]]
    assert [one["annotations"] for one in manifests] == [{"e": "f"}, {"e": "f", "g": "h"}]
    assert manifests[0]["layers"][1] == manifests[1]["layers"][1]
    # index, two manifests, two configs, three layers
    assert len(list(blobs.iterdir())) == 8


@pytest.mark.parametrize("kind", ["local", "tar"])
def test_files_of_each_platform_have_a_directory(stock: Stock, tmp_path: Path, kind: str) -> None:
    export(stock, f"type={kind},dest={tmp_path}/out")
    if kind == "tar":
        with tarfile.open(tmp_path / "out") as file:
            file.extractall(tmp_path / "out.d", filter="fully_trusted")
    top = tmp_path / ("out.d" if kind == "tar" else "out")
    assert sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()) == [
        "linux_amd64/one", "linux_amd64/shared", "linux_arm64/shared", "linux_arm64/two",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["local", "tar"])
def test_files_go_together_only_if_none_is_there_twice(
    stock: Stock, tmp_path: Path, kind: str
) -> None:
    text = f"type={kind},dest={tmp_path}/out,platform-split=false"
    with pytest.raises(
        OutputError, match="cannot overwrite shared from linux/amd64 with linux/arm"
    ):
        export(stock, text)
    assert not (tmp_path / "out").exists()
    export(stock, text, apart=True)
    if kind == "local":
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one", "two"]
    else:
        with tarfile.open(tmp_path / "out") as file:
            assert sorted(file.getnames()) == ["one", "two"]


def test_an_index_goes_last_and_blobs_once(stock: Stock, server: Server) -> None:
    export(stock, f"type=registry,name={server.host}/app:1,registry.insecure=true")
    kind, data = server.manifests["app", "1"]
    index = json.loads(data)
    assert kind == index["mediaType"] == INDEX
    puts = [line for line in server.lines() if line.startswith("PUT /v2/app/manifests/")]
    assert [path.rpartition("/")[2] for path in puts] == [
        *(one["digest"] for one in index["manifests"]), "1",
    ]  # fmt: skip


def test_by_digest_there_is_no_tag(stock: Stock, server: Server) -> None:
    written = export(
        stock,
        f"type=image,name={server.host}/app:1,push=true,push-by-digest=true,registry.insecure=true",
    ).manifest
    assert written is not None
    assert ("app", "1") not in server.manifests
    assert ("app", written.digest) in server.manifests


def test_dockers_media_types_have_a_list_and_no_annotations(stock: Stock, server: Server) -> None:
    text = f"type=registry,name={server.host}/app:1,registry.insecure=true,oci-mediatypes=false"
    export(stock, text)
    assert server.manifests["app", "1"][0] == DOCKER_LIST
    with pytest.raises(UsageError, match="Docker's manifests have no annotations"):
        export(stock, f"{text},annotation-index.a=b")


def test_an_index_of_the_store_leaves_as_it_is(
    stock: Stock, server: Server, client: Registry
) -> None:
    found = [NamedImage(one.config, one.data, one.digest) for one in images(stock)]
    kept = keep_index(found, TAGS, (), stock.images, stock.blobs, stock.forms, lambda _: None)
    names = (Reference.parse(f"{server.host}/app:2"),)
    for how, same in ((compressor("gzip"), True), (compressor("none"), False)):
        index = stored_index(
            kept.digest, names, stock.images, stock.blobs, stock.forms, how, force=not same
        )
        written = push_index(client, index, stock.root, stock.forms, stock.blobs, lambda _: None)
        assert (written.digest == kept.digest) == same
        assert server.manifests["app", "2"][1] == index.data


def test_a_tar_of_two_trees_keeps_their_links_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    out: list[bytes] = []
    trees = Trees(out.append)
    fd = os.open(tmp_path, os.O_RDONLY)
    for directory in ("one", "two"):
        trees.add(fd, directory, {})
    trees.finish()
    os.close(fd)
    with tarfile.open(fileobj=io.BytesIO(b"".join(out))) as file:
        assert [(one.name, one.linkname) for one in file if one.islnk()] == [
            ("one/b", "one/a"),
            ("two/b", "two/a"),
        ]
