"""How `pybuild diff A B` prints what it found: a line a path, then sums; or a JSON document."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from buildkit.cli.listing import print_json, print_table
from buildkit.inventory.difference import Changed, Side, Sum, summed
from buildkit.progress.escape import visible
from buildkit.sizes import size_text

_DIRECTORIES = 15


def print_lines(first: Side, second: Side, found: Sequence[Changed], *, summary: bool) -> None:
    """Print the changes, unless a `summary` is enough, and the sums of them."""
    if not found:
        sys.stdout.write("no difference\n")
        return
    if not summary:
        for one in found:
            sys.stdout.write(f"{_line(one)}\n")
        sys.stdout.write("\n")
    whole, directories, layers = summed(found)
    ordered = sorted(directories.items(), key=lambda one: (-abs(one[1].grown), one[0]))
    rows = [[*_cells(total), name] for name, total in ordered[:_DIRECTORIES]]
    print_table(["ADDED", "CHANGED", "REMOVED", "SIZE", "DIRECTORY"], rows)
    if len(ordered) > _DIRECTORIES:
        sys.stdout.write(f"and {len(ordered) - _DIRECTORIES} more\n")
    sys.stdout.write("\n")
    rows = [[*_cells(total), _layer(second, number)] for number, total in sorted(layers.items())]
    print_table(["ADDED", "CHANGED", "REMOVED", "SIZE", "LAYER"], rows)
    sys.stdout.write(
        f"\n{whole.added} added, {whole.changed} changed, {whole.removed} removed: "
        f"{visible(second.name)} is {_signed(whole.grown)} against {visible(first.name)}\n"
    )


def print_document(first: Side, second: Side, found: Sequence[Changed]) -> None:
    """Print everything."""
    whole, directories, layers = summed(found)
    print_json(
        {
            "From": first.name,
            "To": second.name,
            "Changes": [
                {
                    "Kind": one.letter,
                    "Path": one.path,
                    "Type": one.type,
                    "Before": one.before,
                    "After": one.after,
                    "What": list(one.kinds),
                    "Layer": _digest(first if one.letter == "D" else second, one.layer),
                }
                for one in found
            ],
            "Sum": whole._asdict(),
            "Directories": {name: total._asdict() for name, total in directories.items()},
            "Layers": [
                {"Layer": _digest(second, number), **total._asdict()}
                for number, total in sorted(layers.items())
            ],
        }
    )


def _line(one: Changed) -> str:
    size = ""
    if one.type == "file":
        size = _signed(one.grown) if one.letter == "C" else size_text(one.before or one.after)
        size = "" if one.letter == "C" and not one.grown else size
    what = f"  ({', '.join(one.kinds)})" if one.kinds else ""
    return f"{one.letter} {size:>8} {visible(one.path)}{what}"


def _signed(size: int) -> str:
    return f"{'-' if size < 0 else '+'}{size_text(abs(size))}"


def _cells(total: Sum) -> list[str]:
    return [str(total.added), str(total.changed), str(total.removed), _signed(total.grown)]


def _layer(side: Side, number: int) -> str:
    if not number:
        return "- (removed)"
    return f"{number} {side.layers[number - 1].made_by}"[:70].rstrip()


def _digest(side: Side, number: int) -> str | None:
    return side.layers[number - 1].diff_id if number else None
