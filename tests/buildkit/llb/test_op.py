"""What an op needs of what it stands on."""

import pytest

from buildkit.llb.op import CopyOp, CopySource, MkdirOp, stands_alone


@pytest.mark.parametrize(
    ("chown", "alone"),
    [
        ("", True),
        ("3", True),
        (":3", True),
        ("3:", True),
        ("3:4", True),
        ("ann", False),
        ("3:staff", False),
        # No ids: these are names that are looked up.
        ("3:4:5", False),
        ("5000000000", False),
    ],
)
def test_a_linked_copy_stands_alone_unless_it_looks_up_names(chown: str, alone: bool) -> None:
    copy = CopyOp((CopySource(1, "/f"),), "/", chown, "", (), False, True, "never", False)
    assert stands_alone(copy) == alone
    assert not stands_alone(copy._replace(link=False))


def test_nothing_else_stands_alone() -> None:
    assert not stands_alone(MkdirOp("/app", ""))
