import json

import pytest

from buildkit.oci.descriptor import Descriptor
from buildkit.oci.digest import Digest
from buildkit.oci.fields import DocumentError
from buildkit.oci.index import Index
from buildkit.oci.manifest import Manifest
from buildkit.oci.media_types import CONFIG, DOCKER_MANIFEST, INDEX, LAYER, MANIFEST
from buildkit.oci.platforms import Platform

A, B = (Digest("sha256:" + char * 64) for char in "ab")
CONFIG_DESCRIPTOR = Descriptor(CONFIG, A, 7)


def of_platform(text: str, digest: Digest = A, **kind: str) -> Descriptor:
    notes = tuple(kind.items())
    return Descriptor(MANIFEST, digest, 1, platform=Platform.parse(text), annotations=notes)


def test_a_manifest_survives_encoding() -> None:
    manifest = Manifest(
        config=CONFIG_DESCRIPTOR,
        layers=(Descriptor(LAYER, B, 9, urls=("https://example.org/x",)),),
        annotations=(("a", "b"),),
        artifact_type="application/x",
        subject=Descriptor(MANIFEST, B, 3),
    )
    assert Manifest.parse(manifest.encode()) == manifest


def test_an_index_survives_encoding() -> None:
    index = Index((of_platform("linux/arm/v7"), Descriptor(INDEX, B, 2)), annotations=(("a", ""),))
    assert Index.parse(index.encode()) == index


def test_a_manifest_without_a_media_type_is_known_by_its_config() -> None:
    config = {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "digest": A,
        "size": 1,
    }
    data = json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode()
    assert Manifest.parse(data).media_type == DOCKER_MANIFEST


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"schemaVersion": 1}, "schemaVersion: 1"),
        ({"layers": []}, "config: missing"),
        ({"config": {}, "manifests": []}, "a manifest and an index at once"),
        ({"config": {"digest": A, "size": -1}}, "config.size: negative"),
        ({"config": {"digest": A, "size": 1}, "mediaType": INDEX}, "is not a manifest's"),
    ],
)
def test_a_manifest_of_another_shape_is_refused(document: object, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        Manifest.parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"manifests": [], "layers": []}, "a manifest and an index at once"),
        ({"manifests": [], "mediaType": MANIFEST}, "is not an index's"),
        ({"manifests": [{"digest": "x", "size": 1}]}, r"manifests\[0\].digest: not a sha256"),
    ],
)
def test_an_index_of_another_shape_is_refused(document: object, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        Index.parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("manifests", "wanted", "expected"),
    [
        ((of_platform("linux/amd64"), of_platform("linux/arm64", B)), "linux/arm64", B),
        ((of_platform("linux/amd64"),), "linux/arm64", None),
        ((Descriptor(MANIFEST, A, 1),), "linux/arm64", A),
        ((of_platform("linux/arm/v6", B), of_platform("linux/arm/v5")), "linux/arm/v7", B),
        ((of_platform("linux/amd64/v3"), of_platform("linux/amd64", B)), "linux/amd64", B),
        ((of_platform("linux/arm/v5"), of_platform("linux/arm/v7", B)), "linux/arm64", B),
        ((of_platform("linux/386"), of_platform("linux/amd64", B)), "linux/amd64", B),
        ((of_platform("linux/386"), of_platform("linux/arm64", B)), "linux/amd64", A),
        ((of_platform("linux/ppc64le"),), "linux/ppc64le/power9", None),
        (
            (
                of_platform("linux/amd64"),
                of_platform("linux/amd64", B, **{"vnd.docker.reference.type": "x"}),
            ),
            "linux/amd64",
            A,
        ),
    ],
)
def test_the_manifest_of_a_platform_is_chosen(
    manifests: tuple[Descriptor, ...], wanted: str, expected: Digest | None
) -> None:
    chosen = Index(manifests).choose(Platform.parse(wanted))
    assert (None if chosen is None else chosen.digest) == expected


def test_a_hint_names_the_platforms_of_images_alone() -> None:
    remark = of_platform("unknown/unknown", **{"vnd.docker.reference.type": "attestation-manifest"})
    images = (of_platform("linux/arm64"), remark, of_platform("linux/386"), Descriptor(INDEX, B, 2))
    assert Index(images).hint() == "it has: linux/386, linux/arm64"
    assert Index((remark,)).hint() == "it has no image that is for a platform"
