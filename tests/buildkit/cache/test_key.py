import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.cache.key import KEY_VERSION, TYPES, cache_key, key_document
from buildkit.llb.op import CopyOp, ExecOp, GitOp, HttpOp, MkdirOp, Op
from tests.buildkit.cache.samples import MOUNTS, SAMPLES, changed, kinds

INPUTS = ("sha256:" + "0" * 64, "sha256:" + "1" * 64)

DELIBERATELY_LEFT_OUT = {
    "ExecOp.proxy",
    "ExecOp.shm_size",
    "ExecOp.ulimits",
    "ExecOp.extra_hosts (address)",
}

TEXTS = st.text(
    st.characters(codec="utf-8")
    # bytes that were no UTF-8
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"])
)

CHANGES = [pytest.param(op, name, other, id=name) for op in SAMPLES for name, other in changed(op)]


def key(op: Op, inputs: Any = INPUTS, parts: Any = None) -> str:
    return cache_key(key_document(op, inputs, parts or {}))


@pytest.mark.parametrize(("op", "name", "other"), CHANGES)
def test_a_changed_field_changes_the_key_unless_it_is_left_out(
    op: Op, name: str, other: Op
) -> None:
    assert (key(op) == key(other)) == (name in DELIBERATELY_LEFT_OUT)


def test_the_samples_and_the_names_cover_every_op_and_mount() -> None:
    assert kinds() == {*map(type, SAMPLES), *map(type, MOUNTS)}
    assert kinds() <= set(TYPES)
    assert len(set(TYPES.values())) == len(TYPES)


def test_a_key_is_the_sha256_of_its_document_which_is_canonical_json_with_a_version() -> None:
    document = key_document(SAMPLES[5], (None,))
    assert document == (
        '{"inputs":[null],"op":{"path":"/app","type":"mkdir","user":""},'
        f'"parts":{{}},"version":{KEY_VERSION}}}'
    )
    assert cache_key(document) == hashlib.sha256(document.encode()).hexdigest()


@pytest.mark.parametrize(
    "inputs",
    [(None, INPUTS[1]), (INPUTS[0], None), INPUTS[:1], INPUTS[::-1], (INPUTS[0], {"/a": "b"})],
)
def test_other_inputs_make_another_key(inputs: Any) -> None:
    assert key(SAMPLES[-1], inputs) != key(SAMPLES[-1])


def test_further_facts_make_another_key() -> None:
    assert key(SAMPLES[-1], parts={"passwd": "x"}) != key(SAMPLES[-1])
    assert key(SAMPLES[-1], parts={"passwd": "x"}) != key(SAMPLES[-1], parts={"group": "x"})


def test_the_order_of_the_environment_is_not_in_the_key() -> None:
    op = SAMPLES[-1]
    assert isinstance(op, ExecOp)
    assert key(op._replace(env=op.env[::-1])) == key(op)
    twice = op._replace(env=(("A", "1"), ("A", "2")))
    assert key(twice._replace(env=twice.env[::-1])) != key(twice)


def test_ops_of_equal_fields_but_other_kinds_have_other_keys() -> None:
    exec_op, copy_op = SAMPLES[6], SAMPLES[4]
    assert isinstance(exec_op, ExecOp)
    assert isinstance(copy_op, CopyOp)
    documents = [key_document(MkdirOp(path="a", user="b"), ()), key_document(copy_op, ())]
    assert len({*map(cache_key, documents), key(exec_op, ())}) == 3


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_arguments_are_told_apart_whatever_characters_they_have(
    one: list[str], other: list[str]
) -> None:
    op = SAMPLES[-1]
    assert isinstance(op, ExecOp)
    documents = [key_document(op._replace(args=tuple(args)), INPUTS) for args in (one, other)]
    assert (documents[0] == documents[1]) == (one == other)
    assert json.loads(documents[0])["op"]["args"] == one


def test_a_password_in_a_url_is_not_in_the_document() -> None:
    ops = (
        HttpOp("https://user:pass@example.org/file", "file", None),
        GitOp("https://user:pass@example.org/repo.git", "", "", False, True, ""),
    )
    for op in ops:
        document = key_document(op, ())
        assert "pass" not in document
        assert "user" not in document
        assert "example.org" in document
