"""What a check found, and the list that it goes to."""

from __future__ import annotations

from collections.abc import Callable

from runtime.values import NamedTuple


class Finding(NamedTuple):
    """`what` (a blob, a layer, a name) has `problem`. `repaired`: it has no more."""

    what: str
    problem: str
    repaired: bool

    @property
    def is_damage(self) -> bool:
        """Whether it needs a repair: what was half-made goes with the next command by itself."""
        return not self.repaired and not self.what.startswith(("tmp/", "layers/"))


class Findings:
    """Collects findings, and repairs what they are about if that is wanted."""

    def __init__(self, *, repair: bool) -> None:
        self.repair = repair
        self.found: list[Finding] = []

    def add(self, what: str, problem: str, mend: Callable[[], object]) -> None:
        """Note a finding; `mend` makes it go away."""
        if self.repair:
            mend()
        self.found.append(Finding(what, problem, self.repair))
