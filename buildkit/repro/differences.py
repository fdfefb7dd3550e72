"""What is different between two builds of the same thing, step by step, and why.

In: the records of the builds and their stores. Out: a `StepDifference` for each step whose layers
differ, with the files and the likely causes, and the differences of the two image configs.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator

from buildkit.oci.digest import Digest
from buildkit.records.record import BuildRecord, StepRecord
from buildkit.repro.causes import Cause, Sides, Varied, cause_of_content, shown
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.marks import is_opaque
from buildkit.tree.compare import Difference, compare
from buildkit.tree.entry import Entry, text
from runtime.safepath import open_beneath
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SHOWN = 10
"""Differing files of a step of which the causes are looked for."""

_WHOLE = 16 << 20
_PART = 1 << 20
_EPOCH = "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or --source-date-epoch"


class Told(NamedTuple):
    """A file that differs. `kinds` are those of `tree.compare`; `detail`: both sides."""

    path: str
    kinds: tuple[str, ...]
    detail: str
    cause: str
    advice: str


class StepDifference(NamedTuple):
    """A step that gave two layers. `follows`: numbers of differing steps that it was made from.

    `files` is the number of files that differ, `times` of those that differ by their times alone.
    """

    step: StepRecord
    layers: tuple[str, str]
    follows: tuple[int, ...]
    files: int
    times: int
    told: tuple[Told, ...]


class ConfigDifference(NamedTuple):
    """A member of the image config that differs; the values as JSON."""

    path: str
    first: str
    second: str
    cause: str
    advice: str


def differing_steps(
    records: tuple[BuildRecord, BuildRecord],
    stores: tuple[Layers, Layers],
    varied: Varied,
    epoch: int | None,
) -> Iterator[StepDifference]:
    """Yield the steps that gave different layers, in order."""
    differs: set[int] = set()
    for at, (one, two) in enumerate(zip(records[0].steps, records[1].steps, strict=False)):
        if one.diff_id == two.diff_id or not one.diff_id or not two.diff_id:
            continue
        differs.add(at)
        origins = [source for source in one.inputs if isinstance(source, int)]
        follows = tuple(records[0].steps[n].number for n in origins if n in differs)
        yield _compared(one, (one.diff_id, two.diff_id), follows, stores, varied, epoch)


def _compared(
    step: StepRecord,
    layers: tuple[str, str],
    follows: tuple[int, ...],
    stores: tuple[Layers, Layers],
    varied: Varied,
    epoch: int | None,
) -> StepDifference:
    ids = [Digest.parse(layer) for layer in layers]
    has_root = any(one.has_sign(of, "root") for one, of in zip(stores, ids, strict=True))
    roots = [
        os.open(one.fs(of), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for one, of in zip(stores, ids, strict=True)
    ]
    try:
        heavy: list[Difference] = []
        light: list[Difference] = []
        files = times = 0
        for found in compare(roots[0], roots[1], mark=is_opaque):
            if not found.path and not has_root:
                continue  # where the layer is kept, no part of it
            files += 1
            only_time = found.kinds == ("time",)
            times += only_time
            kept = light if only_time else heavy
            if len(kept) < SHOWN:
                kept.append(found)
        told = [_told(one, step, roots, varied, epoch) for one in (*heavy, *light)[:SHOWN]]
    finally:
        for fd in roots:
            os.close(fd)
    return StepDifference(step, layers, follows, files, times, tuple(told))


def _told(
    found: Difference, step: StepRecord, roots: list[int], varied: Varied, epoch: int | None
) -> Told:
    kind = found.kinds[0]
    detail = ""
    if kind == "content":
        sides = _sides(found, roots)
        cause = cause_of_content(sides, varied)
        one, two = (shown(data, sides.offset) for data in (sides.first, sides.second))
        detail = f"at byte {found.offset}: {one} / {two}"
    elif found.first is None or found.second is None:
        cause = _of_one(text(found.path))
    else:
        detail = _detail(kind, found.first, found.second)
        cause = _of_attribute(kind, step, epoch)
    return Told(text(found.path), found.kinds, detail, cause.what, cause.advice)


def _sides(found: Difference, roots: list[int]) -> Sides:
    """Read both contents: whole, or, of large files, around the difference."""
    start = 0 if found.offset < _WHOLE else found.offset - _PART
    data = []
    for root in roots:
        fd = open_beneath(root, found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            data.append(os.pread(fd, _WHOLE, start))
        finally:
            os.close(fd)
    return Sides(text(found.path), data[0], data[1], found.offset - start)


def _detail(kind: str, first: Entry, second: Entry) -> str:
    match kind:
        case "mode":
            return f"{stat.S_IMODE(first.mode):04o} / {stat.S_IMODE(second.mode):04o}"
        case "owner":
            return f"{first.uid}:{first.gid} / {second.uid}:{second.gid}"
        case "time":
            return f"{_time(first.mtime_ns)} / {_time(second.mtime_ns)}"
        case "target":
            return f"{text(first.target)} / {text(second.target)}"
        case _:
            return ""


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{rest:09d}"


def _of_one(path: str) -> Cause:
    return Cause(
        "a file that one of the builds made and the other did not: a name that is random or made"
        " from a time, or work that ended early",
        "remove temporary files, or give them fixed names"
        if "tmp" in path.lower()
        else "look at what makes the file",
    )


def _of_attribute(kind: str, step: StepRecord, epoch: int | None) -> Cause:
    copied = step.kind == "copy"
    if kind == "time":
        if epoch is None:
            return Cause("no SOURCE_DATE_EPOCH: times are those of the build", _EPOCH)
        if copied:
            return Cause(
                "the file is older than SOURCE_DATE_EPOCH where it was first, and new after another"
                " checkout; only times after the epoch are clamped",
                "an epoch that is not later than the files, or touch -d @$SOURCE_DATE_EPOCH",
            )
        return Cause("the step sets a time of its own", "let it set that of SOURCE_DATE_EPOCH")
    if kind == "mode" and copied:
        return Cause("modes of the context's files: another umask", "--context-mode=git")
    if kind == "owner":
        return Cause("user or group numbers were taken as they came", "useradd -u, groupadd -g")
    return Cause("not known")


def differing_configs(first: bytes, second: bytes, epoch: int | None) -> list[ConfigDifference]:
    """Return what differs in two image configs, but for the layers, which the steps tell of."""
    found = []
    for path, one, two in _walk(json.loads(first), json.loads(second), ""):
        if path.startswith("rootfs"):
            continue
        cause, advice = "not known", ""
        if path.endswith("created"):
            cause, advice = "the time of the build", _EPOCH if epoch is None else ""
        found.append(ConfigDifference(path, json.dumps(one), json.dumps(two), cause, advice))
    return found


def _walk(one: Any, two: Any, path: str) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401 - JSON
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted({*one, *two}):
            yield from _walk(one.get(key), two.get(key), f"{path}.{key}" if path else key)
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for number, (a, b) in enumerate(zip(one, two, strict=True)):
            yield from _walk(a, b, f"{path}[{number}]")
    elif one != two:
        yield path, one, two
