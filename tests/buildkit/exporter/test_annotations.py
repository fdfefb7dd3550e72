"""Annotations: which document they go into."""

import pytest

from buildkit.errors import UsageError
from buildkit.exporter.annotated import with_annotations
from buildkit.exporter.annotations import (
    Annotation,
    pairs_of,
    parse_annotation,
    parse_attribute,
)
from buildkit.exporter.attributes import Output, parse_output
from buildkit.oci.platforms import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
OUTPUTS = (Output("oci"), Output("local", "d"))


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a.b=c", ("a.b", "c")),
        ("a=", ("a", "")),
        ("manifest:a=c", ("a", "c")),
        ("manifest[linux/amd64]:a=c", ("a", "c")),
        ("urn:x=y", ("urn:x", "y")),
    ],
)
def test_of_one_image_all_are_the_manifests(text: str, pair: tuple[str, str]) -> None:
    assert with_annotations(OUTPUTS, parse_annotation(text), ()) == (
        Output("oci", annotations=(pair,)),
        Output("local", "d"),
    )


def test_a_type_says_which_document_is_meant() -> None:
    text = "index,manifest[linux/arm64],manifest-descriptor,index-descriptor:a.b=c=d"
    found = parse_annotation(text)
    assert found == (
        Annotation("index", None, "a.b", "c=d"),
        Annotation("manifest", ARM64, "a.b", "c=d"),
        Annotation("manifest-descriptor", None, "a.b", "c=d"),
        Annotation("index-descriptor", None, "a.b", "c=d"),
    )
    assert pairs_of(found, "manifest", ARM64) == (("a.b", "c=d"),)
    assert pairs_of(found, "manifest", AMD64) == ()
    assert pairs_of(found, "manifest-descriptor", AMD64) == (("a.b", "c=d"),)
    assert with_annotations(OUTPUTS, found, (AMD64, ARM64))[0].annotated == found


def test_attributes_say_the_same() -> None:
    output = parse_output(
        "type=oci,dest=x,annotation.A=1,annotation-index.B=2,annotation-manifest[linux/arm64].C=3"
    )
    assert output.annotations == (("A", "1"),)
    assert output.annotated == (
        Annotation("index", None, "B", "2"),
        Annotation("manifest", ARM64, "C", "3"),
    )


@pytest.mark.parametrize(
    ("text", "platforms", "message"),
    [
        ("x", (), "invalid --annotation 'x'"),
        ("index:x=y", (), "only manifests have annotations here"),
        ("manifest-descriptor:x=y", (), "only manifests have annotations here"),
        ("index[linux/amd64]:x=y", (AMD64,), "an index is for no platform"),
        ("manifest[amd65]:x=y", (AMD64,), "neither an operating system nor"),
        ("manifest[linux/arm64]:x=y", (AMD64,), "nothing is built for linux/arm64"),
        ("index,layer:x=y", (AMD64,), "not all types before the colon are known"),
    ],
)
def test_what_has_no_place_is_refused(
    text: str, platforms: tuple[Platform, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        with_annotations(OUTPUTS, parse_annotation(text), platforms)


def test_an_unknown_type_of_an_attribute_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no output attribute is called 'annotation-layer\.a'"):
        parse_attribute("annotation-layer.a", "b")
