from collections.abc import Iterator

import pytest

from buildkit.records.match import Earlier, instruction
from buildkit.records.record import BuildRecord, StepRecord
from tests.buildkit.records.samples import build, step

BEFORE = [step(1, "FROM a", kind="image"), step(2, "RUN a"), step(3, "RUN b"), step(4, "RUN c")]


def matched(now: list[StepRecord], number: int) -> int | None:
    """Return the number that step `number` of `now` had in BEFORE."""
    siblings = {instruction(one.name) for one in now}
    wanted = next(one for one in now if one.number == number)
    found = Earlier([build("x", *BEFORE)]).of(wanted, siblings)
    return None if found is None else found.number


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["RUN a", "RUN b", "RUN c"], [2, 3, 4]),
        (["RUN a", "RUN new", "RUN b", "RUN c"], [2, None, 3, 4]),
        (["RUN b", "RUN c"], [3, 4]),
        (["RUN c", "RUN b", "RUN a"], [4, 3, 2]),
        (["RUN a", "RUN edited", "RUN c"], [2, 3, 4]),
        (["RUN edited", "RUN b", "RUN c"], [2, 3, 4]),
    ],
)
def test_a_step_is_known_by_its_text_and_when_edited_by_its_place(
    texts: list[str], expected: list[int | None]
) -> None:
    now = [step(number, text) for number, text in enumerate(texts, 2)]
    assert [matched(now, one.number) for one in now] == expected


def test_of_equal_steps_the_nearest_is_meant() -> None:
    builds = [build("x", *(step(number, "RUN true") for number in range(1, 6)))]
    found = Earlier(builds).of(step(4, "RUN true"), {"RUN true"})
    assert found is not None
    assert found.number == 4


def test_another_stage_or_kind_is_another_step() -> None:
    earlier = Earlier([build("x", *BEFORE)])
    assert earlier.of(step(2, "RUN a", stage="other"), {"RUN a"}) is None
    assert earlier.of(step(2, "RUN a", kind="copy"), {"RUN a"}) is None


def test_a_build_that_did_not_come_so_far_is_passed_over() -> None:
    newest = build("y", step(2, "RUN a"), step(3, "RUN b", key="", outcome="unreached"))
    older = build("x", *BEFORE)
    found = Earlier([newest, older]).of(step(3, "RUN b"), {"RUN a", "RUN b"})
    assert found == BEFORE[2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("[build 2/4] RUN make", "RUN make"),
        ("[linux/arm64 build 2/4] RUN [ -e x ]", "RUN [ -e x ]"),
        ("RUN make", "RUN make"),
        ("[odd", "[odd"),
        ("", ""),
    ],
)
def test_the_instruction_is_what_follows_the_place(name: str, text: str) -> None:
    assert instruction(name) == text


def test_no_more_builds_are_taken_than_are_needed() -> None:
    taken = []

    def builds() -> Iterator[BuildRecord]:
        for name, steps in (("new", BEFORE[:1]), ("old", BEFORE), ("oldest", BEFORE)):
            taken.append(name)
            yield build(name, *steps)

    earlier = Earlier(builds())
    assert earlier
    assert taken == ["new"]
    siblings = {instruction(one.name) for one in BEFORE}
    for _ in range(2):
        assert earlier.of(BEFORE[-1], siblings) == BEFORE[-1]
    assert taken == ["new", "old"]
    assert not Earlier(())
