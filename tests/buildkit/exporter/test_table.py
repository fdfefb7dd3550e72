"""What holds for every output type."""

import json
import os
from pathlib import Path

import pytest

from buildkit.errors import BuildError, Cancelled, UsageError
from buildkit.exporter.assemble import Image
from buildkit.exporter.attributes import parse_output
from buildkit.exporter.destination import OutputError
from buildkit.exporter.table import EXPORTERS, export
from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Event
from tests.buildkit.exporter.stock import Stock, parts

TREE = (("file etc/motd 0644 text=hello mtime=7",), ("link bin -> usr/bin", "dir tmp 01777"))
TAGS = (Reference.parse("app:1"),)

WRITTEN = [
    "type=oci,dest={}",
    "type=oci,dest={},tar=false",
    "type=docker,dest={}",
    "type=local,dest={}",
    "type=tar,dest={}",
]


def _export(stock: Stock, text: str, cancel: Cancel | None = None) -> list[Event]:
    events: list[Event] = []
    image = stock.image(*TREE)
    export(
        parse_output(text),
        Image(image.config, image.data, image.digest),
        TAGS,
        stock,
        stock.blobs,
        events.append,
        cancel or Cancel(),
    )
    return events


def _bytes(path: Path) -> dict[str, bytes | str]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {
        str(found.relative_to(path)): os.readlink(found)
        if found.is_symlink()
        else found.read_bytes()
        for found in sorted(path.rglob("*"))
        if found.is_symlink() or found.is_file()
    }


def test_every_type_of_the_command_line_has_an_exporter() -> None:
    for kind in EXPORTERS:
        dest = ",dest=x" if kind == "local" else ""
        assert parse_output(f"type={kind}{dest}").kind == kind


@pytest.mark.parametrize("text", WRITTEN)
def test_twice_gives_the_same_and_nothing_else(stock: Stock, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    _export(stock, text.format(out / "one"))
    _export(stock, text.format(out / "two"))
    assert sorted(os.listdir(out)) == ["one", "two"]
    assert _bytes(out / "one") == _bytes(out / "two")


@pytest.mark.parametrize("text", WRITTEN)
def test_what_was_written_is_told(stock: Stock, tmp_path: Path, text: str) -> None:
    events = _export(stock, text.format(tmp_path / "out"))
    assert str(tmp_path / "out") in str(events)


@pytest.mark.parametrize("text", WRITTEN)
def test_a_place_that_cannot_be_written_is_an_error_of_the_export(
    stock: Stock, tmp_path: Path, text: str
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BuildError) as caught:
        _export(stock, text.format(tmp_path / "file/below"))
    assert caught.value.exit_code == 4
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("kind", ["oci", "docker", "tar"])
def test_nobody_who_reads_a_pipe_does_not_keep_a_build_that_is_to_end(
    stock: Stock, tmp_path: Path, kind: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with Cancel() as cancel:
        cancel.set(15)
        with pytest.raises(Cancelled):
            _export(stock, f"type={kind},dest={tmp_path}/fifo", cancel)


@pytest.mark.parametrize("text", WRITTEN)
def test_a_damaged_layer_leaves_no_output(stock: Stock, tmp_path: Path, text: str) -> None:
    image = stock.image(*TREE)
    layer = Path(stock.root.path("layers", image.config.diff_ids[0].hex, "fs"))
    out = tmp_path / "out"
    out.mkdir()
    (layer / "etc/motd").write_text("jello")
    with pytest.raises(BuildError, match="damaged"):
        export(
            parse_output(text.format(out / "one")),
            Image(image.config, image.data, image.digest),
            TAGS,
            stock,
            stock.blobs,
            lambda _: None,
            Cancel(),
        )
    assert os.listdir(out) == []


def test_an_output_with_names_of_its_own_uses_those(stock: Stock, tmp_path: Path) -> None:
    _export(stock, f"type=docker,dest={tmp_path}/out,name=other:2")
    (entry,) = json.loads(parts((tmp_path / "out").read_bytes())["manifest.json"])
    assert entry["RepoTags"] == ["other:2"]


def test_images_are_named_in_the_store(stock: Stock) -> None:
    _export(stock, "type=image,name=other:2")
    _export(stock, "type=docker,name=third:3")
    assert stock.images.find("other:2").config_digest == stock.images.find("third:3").config_digest


def test_annotations_stand_in_the_manifest(stock: Stock, tmp_path: Path) -> None:
    _export(stock, f"type=oci,dest={tmp_path}/out,annotation.A.b=c")
    found = parts((tmp_path / "out").read_bytes())
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert json.loads(found[f"blobs/sha256/{entry['digest'][7:]}"])["annotations"] == {"A.b": "c"}


def test_what_cannot_be_done_is_refused(stock: Stock, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        _export(stock, f"type=docker,dest={tmp_path}/x,annotation.a=b")


def test_a_platform_gets_a_directory_of_its_own_when_asked_for(
    stock: Stock, tmp_path: Path
) -> None:
    _export(stock, f"type=local,dest={tmp_path}/out,platform-split=true")
    assert (tmp_path / "out/linux_amd64/etc/motd").read_text() == "hello"


@pytest.mark.parametrize("below", ["", "/deep"])
def test_a_directory_of_a_platform_that_cannot_be_made_is_no_fault_of_the_image(
    stock: Stock, tmp_path: Path, below: str
) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        _export(stock, f"type=local,dest={tmp_path}/out{below},platform-split=true")


def test_nothing_comes_of_cacheonly(stock: Stock, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    assert _export(stock, "type=cacheonly") == []
    assert sorted(os.listdir(tmp_path)) == before
