import json
from pathlib import Path

import pytest

from buildkit.archive.load import Loaded
from buildkit.archive.members import Directory
from buildkit.archive.statements import Came, statements_in
from buildkit.attestation.statement import artifact_of, statement_of
from buildkit.errors import ImageError
from buildkit.oci.config import ImageConfig
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.index import Index
from buildkit.oci.media_types import MANIFEST
from buildkit.oci.platforms import Platform

SUBJECT = Descriptor(MANIFEST, Digest.of(b"manifest"), 8)
IMAGE = Loaded(
    ImageConfig(Platform("linux", "amd64")), b"", Digest.of(b"config"), (), SUBJECT.digest
)
SAID = statement_of("sbom", {"a": 1}, SUBJECT.digest)


def layout(path: Path, statement: bytes = SAID, subject: Descriptor = SUBJECT) -> Path:
    artifact = artifact_of(statement, subject)
    (path / "blobs/sha256").mkdir(parents=True)
    for data in (artifact.manifest, *artifact.blobs):
        (path / "blobs/sha256" / Digest.of(data).hex).write_bytes(data)
    (path / "oci-layout").write_text("{}")
    (path / "index.json").write_bytes(Index((SUBJECT, artifact.descriptor)).encode())
    return path


def test_what_is_said_of_a_loaded_image_is_about_its_id(tmp_path: Path) -> None:
    (came,) = statements_in(Directory(str(layout(tmp_path))), (IMAGE,))
    assert came == Came(IMAGE.digest, "sbom", statement_of("sbom", {"a": 1}, IMAGE.digest))


@pytest.mark.parametrize("which", ["another image", "another kind", "no layout"])
def test_what_is_about_something_else_stays(tmp_path: Path, which: str) -> None:
    statement, subject = SAID, SUBJECT
    if which == "another image":
        subject = Descriptor(MANIFEST, Digest.of(b"other"), 5)
    elif which == "another kind":
        statement = json.dumps({**json.loads(SAID), "predicateType": "x"}).encode()
    path = layout(tmp_path, statement, subject)
    if which == "no layout":
        (path / "oci-layout").unlink()
    assert list(statements_in(Directory(str(path)), (IMAGE,))) == []


def test_a_damaged_statement_is_refused(tmp_path: Path) -> None:
    path = layout(tmp_path)
    blob = path / "blobs/sha256" / Digest.of(artifact_of(SAID, SUBJECT).statement).hex
    blob.write_bytes(blob.read_bytes().replace(b"1", b"2"))
    with pytest.raises(ImageError, match="is not what its digest says"):
        list(statements_in(Directory(str(path)), (IMAGE,)))
