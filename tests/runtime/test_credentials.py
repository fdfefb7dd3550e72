"""What a process may believe to be: the rules of setuid(2) and its kin, as a table."""

import pytest

from runtime.credentials import ROOT, UNCHANGED, Credentials, answer, changed, may_give_away

USER = Credentials((5, 5, 5), (6, 6, 6), (6, 7))
MIXED = Credentials((5, 8, 0), (6, 9, 6), ())
KEEP = UNCHANGED

CHANGES = [
    ("setuid", ROOT, (5,), ROOT._replace(users=(5, 5, 5))),
    ("setgid", ROOT, (5,), ROOT._replace(groups=(5, 5, 5))),
    ("setuid", USER, (0,), None),
    ("setuid", MIXED, (0,), MIXED._replace(users=(5, 0, 0))),
    ("setgid", MIXED, (6,), MIXED._replace(groups=(6, 6, 6))),
    ("setreuid", ROOT, (KEEP, 5), ROOT._replace(users=(0, 5, 5))),
    ("setreuid", ROOT, (KEEP, 0), ROOT),
    ("setreuid", MIXED, (8, 5), MIXED._replace(users=(8, 5, 5))),
    ("setreuid", USER, (KEEP, 0), None),
    ("setregid", USER, (7, KEEP), None),
    ("setresuid", ROOT, (1, 2, 3), ROOT._replace(users=(1, 2, 3))),
    ("setresuid", MIXED, (0, 5, KEEP), MIXED._replace(users=(0, 5, 0))),
    ("setresgid", MIXED, (KEEP, 1, KEEP), None),
    ("setgroups", ROOT, (3, 4), ROOT._replace(supplementary=(3, 4))),
    ("setgroups", USER, (), None),
]  # fmt: skip


@pytest.mark.parametrize(("call", "has", "wanted", "then"), CHANGES)
def test_ids_are_taken_as_the_manual_has_it(
    call: str, has: Credentials, wanted: tuple[int, ...], then: Credentials | None
) -> None:
    assert changed(call, wanted, has) == then


def test_a_process_is_told_what_it_took() -> None:
    calls = ("getuid", "geteuid", "getgid", "getegid", "setuid")
    assert [answer(call, MIXED) for call in calls] == [5, 8, 6, 9, None]


@pytest.mark.parametrize(
    ("has", "owner", "wanted", "may"),
    [
        (ROOT, (9, 9), (1, 1), True),
        (USER, (5, 6), (KEEP, 7), True),
        (USER, (5, 1), (5, 1), True),
        (USER, (5, 6), (KEEP, 8), False),
        (USER, (5, 6), (4, KEEP), False),
        (USER, (0, 6), (KEEP, 6), False),
    ],
)
def test_only_root_gives_files_away(
    has: Credentials, owner: tuple[int, int], wanted: tuple[int, int], may: bool
) -> None:
    assert may_give_away(wanted, owner, has) is may
