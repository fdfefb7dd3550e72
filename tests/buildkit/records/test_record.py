import json

import pytest

from buildkit.cache.result import Usage
from buildkit.records.record import build_identity, decode, encode, new_build_id
from tests.buildkit.records.samples import build, step


def test_a_record_comes_back_as_it_was() -> None:
    full = step(
        1,
        "RUN make",
        diff_id="sha256:" + "0" * 64,
        why=("command changed", "ENV A 1 -> 2"),
        started=1.5,
        seconds=2.5,
        cost=2.5,
        usage=Usage(cpu=1.0, memory=2, read=3, written=4),
        log="b-1.log",
        note="same content as before",
        message="exit code: 1",
        document="{}",
        lines=(3, 4),
        inputs=("", 0, "context context"),
    )
    record = build("a", full, step(2, "RUN b", outcome="unreached", key=""), message="x\udcff")
    record = record._replace(contexts=(("lib", "/lib"),))
    assert decode(encode(record)) == record


def test_what_says_nothing_is_not_written() -> None:
    text = encode(build("a", step(1, "RUN make")))
    assert set(json.loads(text)["steps"][0]) == {
        "number",
        "name",
        "stage",
        "kind",
        "outcome",
        "key",
    }


GOOD = json.loads(encode(build("a", step(1, "RUN make", log="a.log"))))


@pytest.mark.parametrize("text", [None, b"", "", "[]", "{}", "3", '{"format":1}'])
def test_what_is_no_record_is_none(text: object) -> None:
    assert decode(text) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 0),
        ("steps", 3),
        ("steps", [3]),
        ("steps", [{}]),
        ("outcome", "perhaps"),
        ("id", 3),
        ("started", "now"),
        ("more", 1),
    ],
)
def test_a_record_with_a_wrong_field_is_none(field: str, value: object) -> None:
    assert decode(json.dumps({**GOOD, field: value})) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("log", "../../etc/passwd"),
        ("log", ".hidden"),
        ("log", 3),
        ("outcome", "x"),
        ("number", "1"),
        ("why", 3),
        ("usage", [1, 2, 3, 4, 5]),
        ("usage", ["a"]),
        ("key", None),
        ("seconds", None),
        ("more", 1),
    ],
)
def test_a_step_with_a_wrong_field_spoils_the_record(field: str, value: object) -> None:
    steps = [{**GOOD["steps"][0], field: value}]
    assert decode(json.dumps({**GOOD, "steps": steps})) is None


def test_a_build_s_identity_is_what_is_built_and_names_differ() -> None:
    same = build_identity("Dockerfile", "/src", "", "linux/amd64")
    assert same == build_identity("Dockerfile", "/src", "", "linux/amd64")
    others = [
        ("a", "/src", "", "x"),
        ("Dockerfile", "/", "", "x"),
        ("Dockerfile", "/src", "t", "x"),
    ]
    assert len({same, *(build_identity(*one) for one in others)}) == 4
    assert len({new_build_id() for _ in range(100)}) == 100
