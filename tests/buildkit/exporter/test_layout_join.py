"""A layout that is joined by a further image."""

import os
from pathlib import Path

import pytest

from buildkit.exporter.destination import OutputError
from buildkit.exporter.layout import open_layout
from buildkit.exporter.layout_join import merge
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import REF_NAME, Index
from buildkit.oci.media_types import MANIFEST

NAME = "io.containerd.image.name"


def index(*entries: str) -> Index:
    """Return an index of entries as in `content name tag`; the last two may be left out."""
    return Index(
        tuple(
            Descriptor(
                MANIFEST,
                Digest.of(content.encode()),
                1,
                annotations=tuple(zip((NAME, REF_NAME), names, strict=False)),
            )
            for content, *names in map(str.split, entries)
        )
    )


@pytest.mark.parametrize(
    ("old", "new", "both"),
    [
        ([], ["a"], ["a"]),
        (["a"], ["a"], ["a"]),
        (["a"], ["b"], ["a", "b"]),
        (["a x:1 1"], ["b x:1 1"], ["b x:1 1"]),
        (["a x:1 1"], ["b y:1 1"], ["a x:1 1", "b y:1 1"]),
        (["a x:1 1", "c"], ["a x:2 2"], ["a x:1 1", "c", "a x:2 2"]),
        (["a x:1 1"], ["a"], ["a x:1 1", "a"]),
    ],
)
def test_a_new_entry_takes_the_place_of_one_with_its_name(
    old: list[str], new: list[str], both: list[str]
) -> None:
    assert merge(index(*old), index(*new)) == index(*both)


def write(dest: Path, content: str, entries: Index) -> None:
    with open_layout(str(dest), as_tar=False) as layout:
        layout.add("oci-layout", b"{}")
        layout.directory("blobs")
        layout.directory("blobs/sha256")
        layout.add(f"blobs/sha256/{Digest.of(content.encode()).hex}", content.encode())
        layout.add("index.json", entries.encode())
        if content == "broken":
            raise RuntimeError


def test_a_layout_keeps_what_it_has_and_is_what_it_was_after_a_failure(tmp_path: Path) -> None:
    dest = tmp_path / "layout"
    for content in ("a", "b"):
        write(dest, content, index(content))
    with pytest.raises(RuntimeError):
        write(dest, "broken", index("broken"))
    assert Index.parse((dest / "index.json").read_bytes()) == index("a", "b")
    assert {path.read_text() for path in (dest / "blobs/sha256").iterdir()} == {"a", "b"}
    assert sorted(os.listdir(dest)) == ["blobs", "index.json", "index.json.lock", "oci-layout"]


def test_a_damaged_layout_is_a_fault_of_the_output_before_anything_is_written(
    tmp_path: Path,
) -> None:
    dest = tmp_path / "layout"
    write(dest, "a", index("a"))
    (dest / "index.json").write_text("{")
    with (
        pytest.raises(
            OutputError, match=r"damaged image layout: .*index\.json: not JSON"
        ) as caught,
        open_layout(str(dest), as_tar=False),
    ):
        pytest.fail("work for nothing")
    assert caught.value.exit_code == 4
    assert caught.value.hint
