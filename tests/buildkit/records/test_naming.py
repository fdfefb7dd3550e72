import pytest

from buildkit.records.naming import find_steps, names_step
from tests.buildkit.records.samples import step

NAME = "[build 2/5] RUN  make all"


@pytest.mark.parametrize(
    "text", ["7", "8", "RUN make", "run  MAKE all", "build 2/5", "[Build 2/5]"]
)
def test_a_step_is_known_by(text: str) -> None:
    assert names_step(text, NAME, (7, 8))


@pytest.mark.parametrize(
    "text",
    ["2", "9", "9" * 5000, "make", "", "build", "build 2/50", "RUN make test"],
    ids=lambda text: text[:9],
)
def test_a_step_is_not_known_by(text: str) -> None:
    assert not names_step(text, NAME, (7, 8))


def test_a_step_without_lines_is_on_no_line() -> None:
    assert not names_step("1", NAME, None)


STEPS = [
    step(0, "hidden", lines=(1, 1)),
    step(1, "RUN a", lines=(2, 3)),
    step(2, "RUN ab", lines=(4, 4)),
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1", [1]),
        ("#2", [2]),
        ("0", []),
        ("3", []),
        ("line:3", [1]),
        ("line:1", []),
        ("9" * 5000, []),
        ("run a", [1, 2]),
        ("RUN ab", [2]),
        ("build 2/9", [2]),
    ],
)
def test_steps_of_a_build_are_found(text: str, numbers: list[int]) -> None:
    assert [one.number for one in find_steps(text, STEPS)] == numbers
