"""The document of a shared cache."""

import json
from typing import Any

import pytest

from buildkit.oci.fields import DocumentError
from buildkit.remotecache.document import CacheDocument
from tests.buildkit.remotecache.samples import digest, mount, step

DOCUMENT = CacheDocument.of((step("b"), step("a")), (mount("deps"),))


def test_a_document_comes_back_as_it_was() -> None:
    assert CacheDocument.parse(DOCUMENT.encode(), "x") == DOCUMENT


def test_equal_content_gives_equal_bytes_in_whatever_order_it_came() -> None:
    again = CacheDocument.of((step("a"), step("b")), (mount("deps"),))
    assert again.encode() == DOCUMENT.encode()


def test_layers_come_once_and_before_the_tars_of_mounts() -> None:
    twice = CacheDocument.of((step("a", "same"), step("b", "same")), (mount("deps"),))
    assert twice.layers == (step("a", "same").diff_id, mount("deps").diff_id)


def test_a_record_has_the_key_of_its_document() -> None:
    (one, _) = DOCUMENT.steps
    record = one.cached()
    assert (record.key, record.document, record.diff_id) == (one.key, one.document, one.diff_id)
    assert (record.seconds, record.made, record.fingerprint) == (1.234, 1_700_000_000.0, None)


WRONG: list[tuple[list[str | int], Any, str]] = [
    (["version"], 2, "version: 2, this pybuild reads 1"),
    (["version"], None, "version: not an integer"),
    (["layers", 0], "sha256:short", "layers"),
    (["steps"], {}, "steps: not an array"),
    (["steps", 0, "document"], 1, "document: not a string"),
    (["steps", 0, "document"], "\u00e4", "document: not ASCII"),
    (["steps", 0, "parent"], "../x", "parent"),
    (["steps", 0, "content"], "x", "content"),
    (["steps", 0, "layer"], 9, "layer: 9 is above 2"),
    (["steps", 0, "layer"], -1, "layer: negative"),
    (["steps", 0, "layer"], True, "layer: not an integer"),
    (["steps", 0, "created"], "yesterday", "created: not a time"),
    (["steps", 0, "made"], 1 << 70, "made: out of range"),
    (["steps", 0, "used"], "x", "used: not a day"),
    (["steps", 0, "selections"], [["a", "b"]], "selections: not three texts"),
    (["steps", 0, "selections"], "x", "selections: not three texts"),
    (["mounts", 0, "content"], "x", "content"),
    (["mounts", 0, "mode"], 0o10000, "mode"),
    (["mounts", 0, "uid"], 1 << 32, "uid"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_what_is_not_of_the_format_is_refused(
    path: list[str | int], value: Any, message: str
) -> None:
    members: Any = json.loads(DOCUMENT.encode())
    place = members
    for one in path[:-1]:
        place = place[one]
    place[path[-1]] = value
    with pytest.raises(DocumentError, match=message):
        CacheDocument.parse(json.dumps(members).encode(), "x")


def test_what_is_not_known_is_let_through() -> None:
    members: Any = json.loads(DOCUMENT.encode())
    members["more"] = members["steps"][0]["more"] = digest("more")
    assert CacheDocument.parse(json.dumps(members).encode(), "x") == DOCUMENT
