import json

from buildkit.cache.key import key_document
from buildkit.cache.manifest import FileState, line
from buildkit.solver.difference import Difference, differences
from tests.buildkit.solver.fakes import copy, execute


def test_equal_documents_do_not_differ() -> None:
    document = key_document(execute("make"), ["a"])
    assert differences(document, document) == ()


def test_every_field_that_differs_is_named() -> None:
    old = execute("make")._replace(env=(("A", "1"), ("B", "2")), user="me")
    new = execute("make all")._replace(env=(("B", "3"), ("C", "4")))
    assert differences(key_document(old, ["x"]), key_document(new, ["y"])) == (
        Difference("inputs[0]", "x", "y"),
        Difference("op.args[2]", "make", "make all"),
        Difference("op.env.A", "1", None),
        Difference("op.env.B", "2", "3"),
        Difference("op.env.C", None, "4"),
        Difference("op.user", "me", ""),
    )


def test_all_files_that_differ_are_named() -> None:
    before = [FileState(f"src/{number}", "file", 0o644, 0, 0, "aa") for number in range(9)]
    after = [state._replace(mode=0o755, content="bb", xattrs="x=1") for state in before]
    manifests = {"old": b"".join(map(line, before)), "new": b"".join(map(line, after[1:]))}
    found = differences(
        key_document(copy("src"), ["x", "old"]),
        key_document(copy("src"), ["x", "new"]),
        manifests.get,
    )
    assert found[:3] == (
        Difference("inputs[1]", "old", "new"),
        Difference("inputs[1]: src/0", "file 0644 0:0 aa", None),
        Difference("inputs[1]: src/1", "file 0644 0:0 aa", "file 0755 0:0 bb x=1"),
    )
    assert len(found) == 10


def test_what_is_no_document_differs_as_a_whole() -> None:
    assert differences("{", json.dumps({})) == (Difference("", "{", "{}"),)
