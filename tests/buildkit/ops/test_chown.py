"""Who a --chown means."""

import os
from pathlib import Path

import pytest

from buildkit.errors import StepError
from buildkit.llb.op import needs_names
from buildkit.ops.chown import find_owner
from tests.trees import make_tree

PASSWD = "root:x:0:0::/root:/bin/sh\nann:x:7:8::/:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:\n"


@pytest.mark.parametrize(
    ("chown", "owner", "names"),
    [
        ("3", (3, 3), False),
        ("3:4", (3, 4), False),
        (":3", (0, 3), False),
        ("3:", (3, 0), False),
        (":", (0, 0), False),
        ("ann", (7, 8), True),
        ("ann:", (7, 0), True),
        ("ann:4", (7, 4), True),
        (":staff", (0, 50), True),
        ("3:staff", (3, 50), True),
    ],
)
def test_what_is_left_out_before_or_behind_the_colon_is_0(
    tmp_path: Path, chown: str, owner: tuple[int, int], names: bool
) -> None:
    make_tree(tmp_path, "dir etc")
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    view = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert find_owner(chown, view) == owner
        assert needs_names(chown) == names
        if not names:
            assert find_owner(chown, None) == owner
    finally:
        os.close(view)


@pytest.mark.parametrize("chown", ["nobody", ":nogroup", "3:b:c", "5000000000"])
def test_a_name_that_is_not_there_is_an_error(chown: str) -> None:
    with pytest.raises(StepError, match=f"invalid --chown={chown}: "):
        find_owner(chown, None)
