import json

import pytest

from buildkit.attestation.mask import masked
from buildkit.attestation.purl import purl_of
from buildkit.attestation.statement import artifact_of, parsed, statement_of
from buildkit.errors import ImageError
from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import EMPTY, MANIFEST

IMAGE = Descriptor(MANIFEST, Digest.of(b"manifest"), 8)


def test_an_artifact_refers_to_the_manifest_and_says_so_of_itself() -> None:
    statement = statement_of("provenance", {"a": 1}, Digest.of(b"config"))
    assert json.loads(statement)["subject"] == [{"digest": {"sha256": Digest.of(b"config").hex}}]

    artifact = artifact_of(statement, IMAGE, ("pkg:docker/app@1",), "2024-01-02T03:04:05Z")

    manifest = Manifest.parse(artifact.manifest)
    assert manifest.subject == IMAGE
    assert manifest.artifact_type == "application/vnd.in-toto+json"
    assert manifest.config == Descriptor(EMPTY, Digest.of(b"{}"), 2)
    assert [layer.digest for layer in manifest.layers] == [Digest.of(artifact.statement)]
    assert artifact.descriptor.digest == Digest.of(artifact.manifest)
    said = parsed(artifact.statement, "it")
    assert said["subject"] == [{"name": "pkg:docker/app@1", "digest": {"sha256": IMAGE.digest.hex}}]
    assert said["predicate"] == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"predicateType": 1}', b"[" * 100_000])
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^it is no"):
        parsed(data, "it")


@pytest.mark.parametrize(
    ("reference", "platform", "purl"),
    [
        ("docker.io/library/busybox:1", "", "pkg:docker/busybox@1"),
        ("busybox", "linux/arm64", "pkg:docker/busybox@latest?platform=linux%2Farm64"),
        ("localhost:5000/a/b:2", "", "pkg:docker/localhost:5000/a/b@2"),
        ("oci-layout://x", "", "oci-layout://x"),
    ],
)
def test_an_image_has_a_purl(reference: str, platform: str, purl: str) -> None:
    assert purl_of(reference, platform) == purl


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ("https://joe:pw@host/x?a@b", "https://***@host/x?a@b"),
        ("git clone https://tok@h/a https://u:p@h/b", "git clone https://***@h/a https://***@h/b"),
        ("https://host/a@b", "https://host/a@b"),
        ({"k": ["hunter22", 1, None]}, {"k": ["***", 1, None]}),
        ({"hunter22": True}, {"***": True}),
        ("hunter2 is a part", "*** is a part"),
        ("abc", "abc"),
        ("basic aHVudGVyMjI=", "basic ***I="),
    ],
)
def test_what_is_secret_is_masked(document: object, shown: object) -> None:
    assert masked(document, [b"hunter2\n", b"hunter22", b"abc"]) == shown
