"""What to do about waste in an image: the instruction that is meant, and what would be saved.

In: an inventory and its layers. Out: `Advice`, the most worthwhile first; pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buildkit.inventory.stack import Stacked
from buildkit.inventory.waste import Copies, Fate, Inventory, Lost
from runtime.values import NamedTuple

_WIDTH = 70


class Advice(NamedTuple):
    """`saved`: bytes of uncompressed layers. `layer`: the one whose instruction is to change."""

    saved: int
    layer: int
    text: str


def advice(found: Inventory, layers: Sequence[Stacked]) -> tuple[Advice, ...]:
    """Return what can be done."""
    lines = [*_about_lost(found.lost, layers), *_about_caches(found, layers)]
    lines += map(_about_copies, found.copies)
    return tuple(sorted(lines, key=lambda line: -line.saved))


def named(layers: Sequence[Stacked], number: int) -> str:
    """Return what people call a layer: its number and its instruction."""
    made_by = layers[number - 1].made_by
    short = made_by if len(made_by) <= _WIDTH else f"{made_by[: _WIDTH - 3]}..."
    return f"layer {number} ({short})" if short else f"layer {number}"


def _about_lost(lost: Sequence[Lost], layers: Sequence[Stacked]) -> Iterator[Advice]:
    groups: dict[tuple[int, int, Fate], list[Lost]] = {}
    for one in lost:
        groups.setdefault((one.file.layer, one.by, one.fate), []).append(one)
    for (layer, by, fate), group in groups.items():
        size = sum(one.file.size for one in group)
        files = f"{len(group)} file{'s'[: len(group) != 1]}"
        example = f"/{group[0].file.path}"
        first, second = named(layers, layer), named(layers, by)
        match fate:
            case "deleted":
                text = f"{second} deletes {files} of {first}: {example}; do both in one RUN"
            case "overwritten":
                text = (
                    f"{second} overwrites {files} of {first}: {example}; "
                    "write them once, or do both in one RUN"
                )
            case "mode or owner":
                text = (
                    f"{second} only changes mode or owner of {files} of {first}: {example}; "
                    "use COPY --chown and --chmod, or do both in one RUN"
                )
            case _:
                text = f"{second} only changes times or attributes of {files} of {first}: {example}"
        yield Advice(size, by, text)


def _about_caches(found: Inventory, layers: Sequence[Stacked]) -> Iterator[Advice]:
    for one in found.leftovers:
        owner, directory = one.cache.owner, one.cache.directory
        yield Advice(
            one.size,
            one.layer,
            f"{named(layers, one.layer)} leaves the cache of {owner} in {directory}: "
            f"{one.cache.advice}",
        )


def _about_copies(copies: Copies) -> Advice:
    first, *others = copies.files
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return Advice(
        copies.size * len(others),
        others[0].layer,
        f"/{others[0].path}{more} has the content of /{first.path}: a link would do",
    )
