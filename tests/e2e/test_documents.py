"""What we write is what the image-spec says: every document of every case, by a schema."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import schemas
from tests.callers import Caller
from tests.e2e.cases import FOLDER, read_cases

CASES = {case.name: case for case in read_cases(FOLDER)}


def read(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())


def check_layout(layout: Path) -> None:
    """Check each document of an image layout, and that they agree with the blobs."""
    schemas.check(json.loads((layout / "oci-layout").read_bytes()), schemas.LAYOUT)
    index = json.loads((layout / "index.json").read_bytes())
    schemas.check(index, schemas.INDEX)
    for described in index["manifests"]:
        manifest = read(layout, described["digest"])
        schemas.check(manifest, schemas.MANIFEST)
        config = read(layout, manifest["config"]["digest"])
        schemas.check(config, schemas.CONFIG)
        assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])
        told = [item for item in config["history"] if not item.get("empty_layer")]
        assert len(told) == len(manifest["layers"])
        for blob in (described, manifest["config"], *manifest["layers"]):
            path = layout / "blobs/sha256" / blob["digest"].removeprefix("sha256:")
            assert path.stat().st_size == blob["size"]


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        *((name, "gzip") for name in ("config", "commands", "volumes", "scratch", "onbuild")),
        ("users", "zstd"),
        ("workdir", "uncompressed"),
    ],
)
def test_every_document_is_valid(as_root: Caller, name: str, compression: str) -> None:
    context, options = CASES[name].laid(as_root)
    target = as_root.place("written") / "image"
    output = f"type=oci,tar=false,compression={compression},dest={target}"
    marks = ("--annotation", "org.example.kind=test", "--label", "org.example.name=x")
    as_root.pybuild.build(context, *options, *marks, "-o", output, name="app:1").ok()
    check_layout(target)
