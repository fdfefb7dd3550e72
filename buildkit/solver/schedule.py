"""Which vertex is next: an in-degree countdown with a heap on the critical path. Pure.

In: vertices in an order that has inputs first, and what each needs. Out: ready vertices, the one
that holds up most work first. networkx gives the order; counting down is quicker than asking it.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


def critical_paths(
    order: Sequence[str], inputs: Mapping[str, Sequence[str | None]], seconds: Mapping[str, float]
) -> dict[str, float]:
    """Return for each vertex the seconds of the longest chain that begins with it."""
    length = {vertex: seconds.get(vertex, 0.0) for vertex in order}
    behind = dict.fromkeys(order, 0.0)
    for vertex in reversed(order):
        length[vertex] += behind[vertex]
        for one in inputs[vertex]:
            if one is not None and behind[one] < length[vertex]:
                behind[one] = length[vertex]
    return length


def needed_by(
    order: Sequence[str], inputs: Mapping[str, Sequence[str | None]], wanted: Collection[str]
) -> set[str]:
    """Return `wanted` and all that they need, whatever lies between."""
    found = set(wanted)
    for vertex in reversed(order):
        if vertex in found:
            found.update(one for one in inputs[vertex] if one is not None)
    return found


class Schedule:
    """The vertices of `order` that were not yet handed out. Without `prefer`, order is kept."""

    def __init__(self, order: Sequence[str], inputs: Mapping[str, Sequence[str | None]]) -> None:
        self._missing: dict[str, int] = {}
        self._behind: dict[str, list[str]] = {vertex: [] for vertex in order}
        self._rank: dict[str, tuple[float, int]] = {}
        self._left = len(order)
        self._stopped = False
        for position, vertex in enumerate(order):
            needed = {one for one in inputs[vertex] if one is not None}
            self._missing[vertex] = len(needed)
            self._rank[vertex] = (0.0, position)
            for one in needed:
                self._behind[one].append(vertex)
        self._ready = [
            (self._rank[vertex], vertex) for vertex in order if not self._missing[vertex]
        ]

    def prefer(self, lengths: Mapping[str, float]) -> None:
        """From now on hand out what has the longest path (`critical_paths`) first."""
        self._rank = {
            vertex: (-lengths[vertex], position) for vertex, (_, position) in self._rank.items()
        }
        self._ready = [(self._rank[vertex], vertex) for _, vertex in self._ready]
        heapify(self._ready)

    def rank(self, vertex: str) -> tuple[float, int]:
        """Return what `vertex` sorts by; the least is the most urgent."""
        return self._rank[vertex]

    def take(self) -> str | None:
        """Hand out a ready vertex, or None when none is ready now."""
        return heappop(self._ready)[1] if self._ready and not self._stopped else None

    def done(self, vertex: str) -> None:
        """Note that `vertex` has its result: what waited for it alone is ready now."""
        self._left -= 1
        for other in self._behind[vertex]:
            self._missing[other] -= 1
            if not self._missing[other]:
                heappush(self._ready, (self._rank[other], other))

    def finished(self) -> bool:
        """Tell whether every vertex has its result."""
        return not self._left

    def stop(self) -> None:
        """Hand out nothing any more."""
        self._stopped = True
