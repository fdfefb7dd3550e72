"""Which ids a container gets, and whose its files become."""

import pytest

from buildkit.containers import userns
from buildkit.errors import ImageError, UsageError
from runtime import idmap
from runtime.idmap import IdMap, Range

USER = (Range(0, 1001, 1), Range(1, 100_000, 65_536))
"""The map of an ordinary user."""


@pytest.mark.parametrize(
    ("number", "others", "ranges"),
    [
        (0, 9, (Range(0, 0, 1), Range(1, 1, 8), )),
        (5, 9, (Range(0, 1, 5), Range(5, 0, 1), Range(6, 6, 4))),
        (1001, 9, (Range(0, 1, 9), Range(1001, 0, 1))),
    ],
)  # fmt: skip
def test_the_caller_keeps_an_id_among_the_others(
    number: int, others: int, ranges: tuple[Range, ...]
) -> None:
    found = userns._kept(number, others)
    assert found[: len(ranges)] == ranges or number == 0
    # Every id of the caller's is somebody, and nobody twice.
    outer = [one.outside + step for one in found for step in range(one.length)]
    assert sorted(outer) == list(range(others + 1))


def test_ids_that_others_have_are_not_given_out() -> None:
    assert userns._free(USER, [], 1024) == 1
    taken = [(Range(0, 1, 1024),), (Range(0, 1100, 100),)]
    assert userns._free(USER, taken, 75) == 1025
    assert userns._free(USER, taken, 76) == 1200
    with pytest.raises(UsageError, match="no 65000 ids in a row"):
        userns._free(USER, taken, 65_000)
    with pytest.raises(UsageError, match="no subordinate ids"):
        userns._free((Range(0, 1001, 1),), [], 10)


def test_what_is_forced_is_left_out_of_what_is_given() -> None:
    assert userns._around((), 10, 100) == (Range(0, 100, 10),)
    forced = (Range(3, 0, 2),)
    around = (Range(0, 100, 3), Range(3, 0, 2), Range(5, 103, 5))
    assert userns._around(forced, 10, 100) == around
    assert userns._around((Range(20, 0, 1),), 10, 100) == (Range(0, 100, 10), Range(20, 0, 1))


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ((Range(0, 1, 65_537),), "not all yours"),
        ((Range(1, 1, 5),), "without a root"),
        ((Range(0, 1, 5), Range(4, 9, 5)), "two id maps have the container's id 4"),
    ],
)
def test_maps_that_cannot_be_are_refused(ranges: tuple[Range, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        userns._check(ranges, USER)


def test_the_highest_id_is_found_but_for_nobody() -> None:
    text = "root:x:0:0::/:\nbob:x:1500:3000::/:\nnobody:x:65534:65534::/:\nbroken\n"
    assert userns._highest(text) == 3000
    assert userns._highest("") == 0


def test_the_caller_gets_a_line_in_passwd_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userns, "_caller_name", lambda: "joe")
    text = "root:x:0:0:root:/root:/bin/sh"
    assert userns.passwd_with(text, "5:6") == f"{text}\njoe:*:5:6:joe:/:/bin/sh\n"
    assert userns.passwd_with(text, "0:0") is None
    assert userns.passwd_with("", "5:6") is None
    taken = f"{text}\njoe:x:9:9:::\n"
    assert userns.passwd_with(taken, "5:6") == f"{taken}user5:*:5:6:user5:/:/bin/sh\n"


def test_owners_go_both_ways() -> None:
    ids = IdMap((Range(0, 100, 10),), (Range(0, 200, 10),))
    outward, inward = userns.outward(ids), userns.inward(ids)
    assert outward is not None
    assert inward is not None
    assert outward(3, 4) == (103, 204)
    assert inward(103, 204) == (3, 4)
    assert inward(0, 204) == (65_534, 4)
    with pytest.raises(ImageError, match="a file of user 10 and group 0"):
        outward(10, 0)
    same = IdMap((Range(0, 0, 9),), (Range(0, 0, 9),))
    assert userns.outward(same) is userns.inward(same) is userns.outward(None) is None
    assert ids.root == (100, 200)
    with pytest.raises(LookupError):
        idmap.inward(ids.users, 99)
