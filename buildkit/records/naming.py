"""How a user names a step: by its line in the Dockerfile, by its number, or by what it says.

In: what was typed, and a step's name and lines. Out: is it meant? Pure. A name is the beginning of
the instruction (`RUN make`), or what stands in its brackets (`build 2/5`), without regard to case
and runs of white space.
"""

from __future__ import annotations

from buildkit.records.match import instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildkit.records.record import StepRecord

_DIGITS = 10
"""More than any line or step needs; Python converts no more than 4300."""


def names_step(text: str, name: str, lines: Sequence[int] | None) -> bool:
    """Tell whether `text`, a line of the Dockerfile or a name, means the step `name`."""
    if text.isascii() and text.isdigit():
        place = int(text[:_DIGITS])
        return bool(lines) and lines[0] <= place <= lines[-1]  # type: ignore[index]
    wanted = _plain(text)
    return bool(wanted) and (
        _plain(instruction(name)).startswith(wanted) or _place(name) == wanted.strip("[]")
    )


def find_steps(text: str, steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Return the steps of a build that `text` means.

    That is `5` or `#5` as the build numbered them, `line:7` of the Dockerfile, or a name.
    """
    kind, colon, line = text.partition(":")
    if colon and kind == "line":
        return [step for step in steps if step.number and names_step(line, "", step.lines)]
    number = text.removeprefix("#")
    if number.isascii() and number.isdigit():
        wanted = int(number[:_DIGITS])
        return [step for step in steps if step.number == wanted > 0]
    return [step for step in steps if step.number and names_step(text, step.name, None)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _place(name: str) -> str:
    """Return what stands in the brackets of a step's name."""
    return _plain(name.partition("] ")[0].removeprefix("[")) if name.startswith("[") else ""
