"""Values of `--userns` and of the options for maps."""

import pytest

from buildkit.containers.user_mode import UserMode, mode_of
from buildkit.errors import UsageError
from runtime.idmap import Range

NONE = ("", "")


@pytest.mark.parametrize(
    ("userns", "uidmap", "gidmap", "names", "mode"),
    [
        ("", (), (), NONE, None),
        ("host", (), (), NONE, None),
        ("private", (), (), NONE, UserMode("private")),
        ("nomap", (), (), NONE, UserMode("nomap")),
        ("keep-id", (), (), NONE, UserMode("keep-id")),
        ("keep-id:uid=5,gid=0", (), (), NONE, UserMode("keep-id", uid=5, gid=0)),
        ("container:a", (), (), NONE, UserMode("container", where="a")),
        ("ns:/a/../b", (), (), NONE, UserMode("path", where="/b")),
        ("auto", (), (), NONE, UserMode("auto")),
        ("auto:size=9,uidmapping=0:5:1,gidmapping=3:4:5", (), (), NONE,
         UserMode("auto", (Range(0, 5, 1),), (Range(3, 4, 5),), size=9)),
        ("", ("0:1:9",), (), NONE, UserMode("maps", (Range(0, 1, 9),), (Range(0, 1, 9),))),
        ("private", ("0:1",), ("0:2:3", "3:1:1"), NONE,
         UserMode("maps", (Range(0, 1, 1),), (Range(0, 2, 3), Range(3, 1, 1)))),
        ("", (), (), ("a", ""), UserMode("names", names=("a", "a"))),
        ("", (), (), ("a", "b"), UserMode("names", names=("a", "b"))),
    ],
)  # fmt: skip
def test_a_mode_is_parsed(
    userns: str,
    uidmap: tuple[str, ...],
    gidmap: tuple[str, ...],
    names: tuple[str, str],
    mode: UserMode | None,
) -> None:
    assert mode_of(userns, uidmap, gidmap, names) == mode


@pytest.mark.parametrize(
    ("userns", "uidmap", "names", "message"),
    [
        ("own", (), NONE, "unknown --userns 'own'"),
        ("nomap:x=1", (), NONE, "unknown --userns"),
        ("container:", (), NONE, "unknown --userns"),
        ("ns", (), NONE, "unknown --userns"),
        ("container:a", ("0:1:2",), NONE, "exclude each other"),
        ("keep-id:size=1", (), NONE, "unknown option 'size=1'"),
        ("keep-id:uid", (), NONE, "unknown option 'uid'"),
        ("keep-id:uid=-1", (), NONE, "'-1' is no id"),
        ("keep-id:uid=4294967295", (), NONE, "is no id"),
        ("auto", ("0:1:2",), NONE, "exclude each other"),
        ("keep-id", (), ("a", ""), "exclude each other"),
        ("", ("0:1:2",), ("a", ""), "exclude each other"),
        ("", ("0",), NONE, "invalid id map '0'"),
        ("", ("0:1:0",), NONE, "invalid id map"),
        ("", ("0:4294967294:2",), NONE, "ids end at"),
    ],
)  # fmt: skip
def test_what_is_no_mode_is_refused(
    userns: str, uidmap: tuple[str, ...], names: tuple[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        mode_of(userns, uidmap, (), names)
