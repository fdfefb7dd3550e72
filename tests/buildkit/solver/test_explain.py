from typing import Any

import pytest

from buildkit.cache.key import key_document
from buildkit.cache.manifest import FileState, line
from buildkit.llb import op as ops
from buildkit.oci.digest import Digest
from buildkit.solver.explain import FILES_SHOWN, explain
from tests.buildkit.cache.samples import SAMPLES, changed
from tests.buildkit.cache.test_key import DELIBERATELY_LEFT_OUT

IMAGE, CONTEXT, HTTP, GIT, COPY, MKDIR, EXEC = SAMPLES
assert isinstance(IMAGE, ops.ImageOp)
assert isinstance(COPY, ops.CopyOp)
assert isinstance(MKDIR, ops.MkdirOp)
assert isinstance(EXEC, ops.ExecOp)

CHAIN, OTHER_CHAIN = str(Digest.of(b"a")), str(Digest.of(b"b"))
A = FileState(path="src/a.py", kind="file", mode=0o644, uid=0, gid=0, content="sha256:1")


def document(op: ops.Op, *inputs: Any, **parts: Any) -> str:
    return key_document(op, inputs or (CHAIN,), parts)


OPS: list[tuple[ops.Op, ops.Op, list[str]]] = [
    (EXEC, EXEC._replace(args=("/bin/sh", "-c", "make all")), ["command changed"]),
    (EXEC, EXEC._replace(args=("make",)), ["command changed"]),
    (EXEC, EXEC._replace(args=("/bin/bash", "-c", "make")), ["SHELL /bin/sh -c -> /bin/bash -c"]),
    (EXEC, EXEC._replace(script="#!/bin/sh\n"), ["command changed"]),
    (EXEC, EXEC._replace(env=(("A", "1"), ("B", "3"))), ["ARG B 2 -> 3"]),
    (EXEC, EXEC._replace(env=(("A", ""), ("B", "2"))), ["ENV A 1 -> (none)"]),
    (
        EXEC,
        EXEC._replace(env=(("B", "2"), ("C", "x" * 99))),
        ["removed ENV A", f"added ENV C={'x' * 57}..."],
    ),
    (EXEC, EXEC._replace(cwd="/app", user="app"), ["WORKDIR / -> /app", "USER (none) -> app"]),
    (EXEC, EXEC._replace(network="none"), ["network default -> none"]),
    (EXEC, EXEC._replace(mounts=EXEC.mounts[1:]), ["removed bind mount at /src"]),
    (
        EXEC._replace(mounts=()),
        EXEC._replace(mounts=EXEC.mounts[2:3]),
        ["added tmpfs mount at /tmp"],
    ),
    (
        EXEC,
        EXEC._replace(mounts=(*EXEC.mounts[:2], ops.TmpfsMount("/tmp", 5), *EXEC.mounts[3:])),
        ["size of tmpfs mount at /tmp changed"],
    ),
    (EXEC, EXEC._replace(mounts=EXEC.mounts[::-1]), ["order of mounts changed"]),
    (EXEC, MKDIR, ["another kind of instruction"]),
    (COPY, COPY._replace(dest="/srv/"), ["destination /app/ -> /srv/"]),
    (COPY, COPY._replace(chown="app", link=True), ["--chown (none) -> app", "--link no -> yes"]),
    (
        COPY,
        COPY._replace(sources=(COPY.sources[0], ops.InlineFile("EOF", "ho"))),
        ["heredoc EOF changed"],
    ),
    (
        COPY,
        COPY._replace(sources=(ops.CopySource(1, "lib"), COPY.sources[1])),
        ["sources src EOF -> lib EOF"],
    ),
    (MKDIR, MKDIR._replace(path="/srv"), ["WORKDIR /app -> /srv"]),
    (
        IMAGE,
        IMAGE._replace(config=Digest.of(b"new")),
        [f"base debian:12 moved from {IMAGE.config} to {Digest.of(b'new')}"],
    ),
    (IMAGE, IMAGE._replace(reference="debian:13"), ["base debian:12 -> debian:13"]),
]


@pytest.mark.parametrize(("old", "new", "reasons"), OPS)
def test_a_changed_op_is_told_in_the_words_of_a_dockerfile(
    old: ops.Op, new: ops.Op, reasons: list[str]
) -> None:
    assert explain(document(old), document(new), arguments=["B"]) == reasons


FILES: list[tuple[list[FileState], list[FileState], list[str]]] = [
    ([A], [A._replace(content="sha256:2")], ["src/a.py changed"]),
    ([A], [A, A._replace(path="src/b.py")], ["added src/b.py"]),
    ([A], [], ["removed src/a.py"]),
    ([A], [A._replace(mode=0o755)], ["mode of src/a.py 0644 -> 0755"]),
    ([A], [A._replace(uid=1, gid=2)], ["owner of src/a.py 0:0 -> 1:2"]),
    ([A], [A._replace(xattrs="x")], ["extended attributes of src/a.py changed"]),
    ([A], [A._replace(same="b")], ["src/a.py is a hard link of b now"]),
    ([A._replace(same="b")], [A], ["src/a.py is no hard link of b any more"]),
    ([A._replace(same="b")], [A._replace(same="c")], ["src/a.py is a hard link of c now"]),
    ([A], [A._replace(kind="dir")], ["src/a.py was a file and is a dir"]),
    (
        [A],
        [A._replace(content="sha256:2", mode=0o4755)],
        ["src/a.py changed", "mode of src/a.py 0644 -> 4755"],
    ),
    (
        [A._replace(kind="link", content="a")],
        [A._replace(kind="link", content="b")],
        ["link src/a.py a -> b"],
    ),
    (
        [],
        [A._replace(path=str(number)) for number in range(8)],
        [*[f"added {number}" for number in range(FILES_SHOWN)], f"and {8 - FILES_SHOWN} more"],
    ),
]


@pytest.mark.parametrize(("old", "new", "reasons"), FILES)
def test_changed_files_are_named(
    old: list[FileState], new: list[FileState], reasons: list[str]
) -> None:
    manifests = {"old": b"".join(map(line, old)), "new": b"".join(map(line, new))}
    for was, now in (("old", "new"), ({"/src": "old"}, {"/src": "new"})):
        assert (
            explain(document(COPY, CHAIN, was), document(COPY, CHAIN, now), manifests.get)
            == reasons
        )


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        ((CHAIN,), (OTHER_CHAIN,), ["parent step changed"]),
        ((None,), (CHAIN,), ["parent step changed"]),
        ((CHAIN, "x"), (OTHER_CHAIN, "y"), ["copied files changed", "parent step changed"]),
        ((CHAIN, {"/a": "x"}), (CHAIN, {"/a": "y"}), ["content of /a changed"]),
        ((CHAIN, {"/a": "x"}), (CHAIN,), ["content of /a changed"]),
    ],
)
def test_without_manifests_inputs_are_told_in_general(
    old: tuple[Any, ...], new: tuple[Any, ...], reasons: list[str]
) -> None:
    assert explain(document(COPY, *old), document(COPY, *new)) == reasons


def test_what_a_mount_shows_that_came_is_not_told_as_changed() -> None:
    mount = ops.BindMount(target="/m", origin=1, source="/a", readonly=True)
    other = mount._replace(target="/n", source="/b")
    one, both = (EXEC._replace(mounts=mounts) for mounts in ((mount,), (mount, other)))
    old = document(one, CHAIN, {"/a": "x"})
    came = ["added bind mount at /n"]
    assert explain(old, document(both, CHAIN, {"/a": "x", "/b": "y"})) == came
    new = document(both, CHAIN, {"/a": "z", "/b": "y"})
    assert explain(old, new) == [*came, "content of /a changed"]


def test_further_facts_are_told_by_name() -> None:
    old, new = document(GIT, commit="abc", passwd=CHAIN), document(GIT, commit="def", passwd="")
    assert explain(old, new) == ["commit abc -> def", "passwd changed"]


def test_equal_documents_have_no_reasons() -> None:
    assert explain(document(EXEC), document(EXEC)) == []


def test_another_format_of_keys_is_one_reason() -> None:
    old = document(EXEC).replace('"version":1', '"version":0')
    assert explain(old, document(EXEC)) == ["cache key format 0 -> 1"]


@pytest.mark.parametrize("garbage", ["", "[]", "3", '{"version":1}', '{"version":1,"op":[]}'])
def test_a_damaged_document_is_told_as_such(garbage: str) -> None:
    assert explain(garbage, document(EXEC)) == ["the earlier record cannot be read"]


CHANGES = [
    pytest.param(op, other, id=name)
    for op in SAMPLES
    for name, other in changed(op)
    if name not in DELIBERATELY_LEFT_OUT
]


@pytest.mark.parametrize(("op", "other"), CHANGES)
def test_every_change_of_a_field_has_a_reason_of_its_own(op: ops.Op, other: ops.Op) -> None:
    reasons = explain(document(op), document(other))
    assert reasons
    assert "another key, for no reason that is known" not in reasons
    assert "the earlier record cannot be read" not in reasons
