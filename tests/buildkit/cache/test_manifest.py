import pytest

from buildkit.cache.manifest import FileState, differences, line

A = FileState(path="a", kind="file", mode=0o644, uid=0, gid=0, content="sha256:1")
B = A._replace(path="b")


def manifest(*states: FileState) -> bytes:
    return b"".join(map(line, states))


def test_equal_files_in_another_order_are_no_difference() -> None:
    assert differences(manifest(A, B), manifest(B, A)) == {}


def test_what_came_went_and_changed_is_told_by_path_in_order() -> None:
    other = A._replace(content="sha256:2")
    c = A._replace(path="c")
    assert differences(manifest(A, B), manifest(other, c)) == {
        "a": (A, other),
        "b": (B, None),
        "c": (None, c),
    }


def test_a_name_may_be_anything() -> None:
    odd = A._replace(path='n\n"\udcff\u202e')
    assert differences(b"", manifest(odd)) == {odd.path: (None, odd)}


@pytest.mark.parametrize(
    "garbage", [b"\xff\n", b"[]\n", b"3\n", b"{}\n", b'["a","file","x",0,0,"",""]\n']
)
def test_lines_of_another_form_explain_nothing(garbage: bytes) -> None:
    assert differences(garbage, manifest(A)) == {"a": (None, A)}
