import pytest

from buildkit.oci.fields import MAX_DOCUMENT, DocumentError, Fields, encode

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "doc: not an object"),
        (b"", "doc: not JSON"),
        (b"\xff", "doc: not JSON"),
        (b'{"a": NaN}', "doc: not JSON: NaN is not a JSON number"),
        (b'{"a": ' + b"1" * 5000 + b"}", "doc: not JSON"),
        (b'{"a":' * 100_000, "doc: nested too deeply"),
        (b" " * (MAX_DOCUMENT + 1), "doc: larger than 8 MiB"),
    ],
)
def test_what_is_no_json_object_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Fields.parse(data, "doc")
    assert str(caught.value).startswith(message)


def test_getters_name_the_place_of_what_is_wrong() -> None:
    fields = Fields.parse(b'{"layers":[{"size":1},{"size":-1}],"half":"\\ud800"}', "manifest")
    first, second = fields.objects("layers")
    assert first.size("size") == 1
    with pytest.raises(DocumentError, match=r"manifest\.layers\[1\]\.size: negative"):
        second.size("size")
    with pytest.raises(DocumentError, match=r"manifest\.layers\[0\]\.digest: missing"):
        first.digest("digest")
    with pytest.raises(DocumentError, match=r"manifest\.half: half a surrogate pair"):
        fields.text("half")


@pytest.mark.parametrize(
    ("value", "getter"),
    [
        ("1", "text"),
        ('"1"', "integer"),
        ("true", "integer"),
        ("1.5", "integer"),
        ("9223372036854775808", "integer"),
        ("1", "boolean"),
        ('"x"', "digest"),
        ("{}", "texts"),
        ("[1]", "texts"),
        ("[]", "object"),
        ("[1]", "objects"),
        ('{"a":1}', "pairs"),
    ],
)
def test_a_value_of_another_type_is_an_error(value: str, getter: str) -> None:
    fields = Fields.parse(f'{{"a":{value}}}'.encode(), "doc")
    with pytest.raises(DocumentError, match=r"^doc\.a"):
        getattr(fields, getter)("a")


def test_null_counts_as_absent() -> None:
    fields = Fields.parse(b'{"a":null}', "doc")
    assert fields.text("a", "x") == "x"
    assert fields.integer("a", 3) == 3
    assert fields.texts("a") == ()
    assert fields.pairs("a") == ()
    assert fields.object("a") is None


def test_documents_are_written_as_gos_encoder_writes_them() -> None:
    assert encode({"b": "<a&b>\u2028é\udcff", "a": [1, True]}) == (
        b'{"b":"\\u003ca\\u0026b\\u003e\\u2028\xc3\xa9\xef\xbf\xbd","a":[1,true]}'
    )
