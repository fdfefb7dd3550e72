import pytest

from buildkit.cache.document import op_of
from buildkit.cache.key import key_document
from buildkit.llb.op import ExecOp, Op
from tests.buildkit.cache.samples import MOUNTS, SAMPLES


@pytest.mark.parametrize("op", SAMPLES, ids=lambda op: type(op).__name__)
def test_a_document_gives_its_op_back_but_for_what_no_key_has(op: Op) -> None:
    found = op_of(key_document(op, ["x"]))
    if isinstance(op, ExecOp):
        env = tuple(sorted(op.env, key=lambda pair: pair[0]))
        op = op._replace(env=env, proxy=(), extra_hosts=(), shm_size=0, ulimits=())
    assert repr(found) == repr(op)
    assert type(found) is type(op)


def test_mounts_come_back_as_what_they_are() -> None:
    sample = next(op for op in SAMPLES if isinstance(op, ExecOp))
    found = op_of(key_document(sample._replace(mounts=MOUNTS), ["x"]))
    assert isinstance(found, ExecOp)
    assert list(map(type, found.mounts)) == list(map(type, MOUNTS))
    assert found.mounts == MOUNTS


@pytest.mark.parametrize(
    "document",
    [
        *("", "{}", "[]", '{"op":1}', '{"op":{}}', '{"op":{"type":"what"}}', "[" * 100_000),
        *('{"op":{"type":"mkdir"}}', '{"op":{"type":"exec"}}'),
        '{"op":{"type":"source","origin":1,"path":"a"}}',
    ],
)
def test_what_holds_no_op_is_refused(document: str) -> None:
    with pytest.raises(ValueError):
        op_of(document)
