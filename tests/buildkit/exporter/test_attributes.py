"""What --output means."""

import pytest

from buildkit.errors import UsageError
from buildkit.exporter.attributes import Output, parse_output, split_fields
from buildkit.oci.reference import Reference

APP = Reference.parse("app:1")


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", Output("local", "out")),
        ("a=b", Output("local", "a=b")),
        ("-", Output("tar", "-")),
        ("type=local,dest=out", Output("local", "out")),
        ("type=local,dest=out,mode=copy", Output("local", "out")),
        ("type=tar", Output("tar", "-")),
        ("type=tar,dest=a.tar", Output("tar", "a.tar")),
        ("type=image,name=app:1", Output("image", names=(APP,))),
        ('type=image,"name=app:1,b"', Output("image", names=(APP, Reference.parse("b")))),
        ("type=registry,name=app:1", Output("registry", names=(APP,), push=True)),
        ("type=image,push=true", Output("image", push=True)),
        (
            "type=image,name-canonical=true,push-by-digest=true,push=true",
            Output("image", name_canonical=True, push_by_digest=True, push=True),
        ),
        ("type=image,name-canonical=false", Output("image")),
        ("type=registry,store=false,unpack=true", Output("registry", push=True, store=False)),
        ("type=oci,dest=a.tar", Output("oci", "a.tar")),
        ("type=oci", Output("oci", "-")),
        ("type=oci,tar=false,dest=d", Output("oci", "d", as_tar=False)),
        ("type=docker", Output("docker")),
        ("type=docker,dest=-", Output("docker", "-")),
        (
            "type=oci,dest=a,compression=zstd,compression-level=19,force-compression=1",
            Output("oci", "a", compression="zstd", level=19, force_compression=True),
        ),
        (
            "type=oci,dest=a,compression=uncompressed",
            Output("oci", "a", compression="none"),
        ),
        (
            "type=oci,dest=a,annotation.a.B=c,annotation-manifest.d=e=f",
            Output("oci", "a", annotations=(("a.B", "c"), ("d", "e=f"))),
        ),
        ("type=cacheonly", Output("cacheonly")),
        ("TYPE=oci,Dest=a.tar", Output("oci", "a.tar")),
    ],
)
def test_an_output_is_understood(text: str, output: Output) -> None:
    assert parse_output(text) == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without a value"),
        ("dest=a,name=b", "no type"),
        ("type=ocl,dest=a", "no output type is called 'ocl'"),
        ("type=oci,dest", "has no value"),
        ("type=oci,dest=", "empty"),
        ("type=oci,desr=a", "no output attribute is called 'desr'"),
        ("type=local", "needs dest"),
        ("type=local,dest=a,mode=delete", "not supported"),
        ("type=local,dest=-", "needs dest"),
        ("type=local,dest=a,compression=gzip", "has no attribute compression"),
        ("type=oci,dest=a,compression=lzma", "no compression is called"),
        ("type=oci,dest=a,compression=estargz", "no compression is called"),
        ("type=oci,dest=a,compression-level=ten", "not a level"),
        ("type=oci,dest=a,compression-level=²", "not a level"),
        (f"type=oci,dest=a,compression-level={chr(57) * 5000}", "not a level"),
        ("type=oci,dest=a,compression-level=10", "from 0 to 9"),
        ("type=oci,dest=a,tar=maybe", "neither true nor false"),
        ("type=oci,tar=false", "needs dest"),
        ("type=docker,tar=false,dest=a", "always an archive"),
        ("type=oci,dest=a,oci-mediatypes=false", "OCI media types"),
        ("type=image,name=A B", "not an image name"),
        ("type=image,oci-artifact=true", "not supported"),
        ("type=image,dangling-name-prefix=x", "not supported"),
        ("type=image,compatibility-version=20", "not supported"),
        ("type=image,name-canonical=true", "needs push=true"),
        ("type=oci,dest=a,name-canonical=true", "has no attribute name-canonical"),
        ('type=oci,"dest=a', 'column 17: extraneous or missing " in quoted-field'),
        ('type=oci,"dest=a"b', 'column 17: extraneous or missing " in quoted-field'),
        ('type=oci,dest="a,b"', 'column 15: bare " in non-quoted field'),
    ],
)
def test_a_wrong_output_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_output(text)


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        parse_output("type=oci,compresion=gzip")
    assert caught.value.hint == "did you mean compression?"


def test_quoted_fields_hold_commas_and_quotes() -> None:
    assert split_fields('a,"b,""c""",,d') == ["a", 'b,"c"', "", "d"]
