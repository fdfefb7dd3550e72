"""A store that has seen other versions gives what an empty one gives, and `plan` tells it before.

Changes of all kinds, in random pairs and at random places. After each pair the same build on the
old store and on an empty one: with SOURCE_DATE_EPOCH the images have to be the same.
"""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.program import Done, Pybuild

DOCKERFILE = """\
FROM busybox AS made
ARG WORD=one
COPY --exclude=*.o . /all/
RUN --mount=type=bind,target=/m,source=d,rw (cd /m && find . | sort | xargs ls -ldn; \\
    echo $WORD) | sed 's/ [A-Z][a-z][a-z] [ 0-9:]* / /' > /seen
FROM busybox
COPY --link d* /linked/
COPY --parents **/a /parents/
ADD --chown=1:2 t.tar /added/
COPY --from=made /seen /all/d /taken/
RUN --mount=type=bind,from=made,source=/all,target=/m (cd /m && find . | sort | \\
    xargs stat -c '%n %a %u:%g %F %N') > /list; find /m -type f | sort | xargs sha256sum >> /list
"""
TREE = ("file a text=1", "file d/a text=22", "file d/b text=33", "file d/x.o text=4", "dir d/e",
        "link d/l -> a", "file s/a text=5", "file in/q text=6", "pack t.tar = in")  # fmt: skip


class Case:
    """What changes act on: files that `pick` chooses, the argument WORD."""

    def __init__(self, context: Path, seed: int) -> None:
        self.context = context
        self.random = random.Random(seed)
        self.word = "one"

    def pick(self) -> Path:
        found = sorted(self.context.rglob("[ab]"))
        return self.random.choice(found)


def same_size(case: Case) -> None:
    """As `cp -p` or rsync over it: nothing but the content and the change time tell."""
    path = case.pick()
    before = path.stat()
    data = path.read_bytes()
    beside = path.with_name("beside")
    beside.write_bytes(bytes(byte ^ 1 for byte in data))
    beside.chmod(before.st_mode & 0o7777)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.rename(path)


def in_place(case: Case) -> None:
    path = case.pick()
    before = path.stat()
    path.write_bytes(bytes(byte ^ 2 for byte in path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swapped(case: Case) -> None:
    first, second = case.context / "d/a", case.context / "d/b"
    between = case.context / "between"
    first.rename(between)
    second.rename(first)
    between.rename(second)


def mode(case: Case) -> None:
    case.pick().chmod(case.random.choice([0o600, 0o755, 0o4711]))


def mode_of_directory(case: Case) -> None:
    (case.context / "d").chmod(case.random.choice([0o700, 0o1777]))


def hard_link(case: Case) -> None:
    target = case.context / "d/linked"
    target.unlink(missing_ok=True)
    os.link(case.pick(), target)


def link(case: Case) -> None:
    path = case.context / "d/l"
    path.unlink()
    path.symlink_to(case.random.choice(["b", "../a", "/nowhere"]))


def attribute(case: Case) -> None:
    os.setxattr(case.pick(), "user.of", case.random.randbytes(3))


def archive(case: Case) -> None:
    path = case.context / "t.tar"
    path.write_bytes(path.read_bytes().replace(b"6", b"7", 1))


def came(case: Case) -> None:
    (case.context / "d/e" / f"new{case.random.random()}").write_text("new", "utf-8")


def went(case: Case) -> None:
    (case.context / "d/x.o").unlink()


def ignored(case: Case) -> None:
    (case.context / ".dockerignore").write_text("**/b\n!d/b\ns\n", "utf-8")


def argument(case: Case) -> None:
    case.word = "two"


def copied(case: Case) -> None:
    """Another directory in its place."""
    beside = case.context.with_name("beside")
    shutil.copytree(case.context, beside, symlinks=True)
    shutil.rmtree(case.context)
    beside.rename(case.context)


CHANGES: tuple[Callable[[Case], None], ...] = (
    same_size, in_place, swapped, mode, mode_of_directory, hard_link, link, attribute, archive,
    came, went, ignored, argument, copied,
)  # fmt: skip


@pytest.mark.parametrize("seed", [7])
def test_old_results_are_what_new_ones_would_be(as_root: Caller, seed: int) -> None:
    case = Case(as_root.context(DOCKERFILE, *TREE), seed)
    warm = as_root.fresh({"SOURCE_DATE_EPOCH": "1"})
    empty = as_root.place("empty") / "store"
    shutil.copytree(warm.root, empty)
    build(warm, case)
    order = case.random.sample(CHANGES, len(CHANGES))
    for pair in zip(order[::2], order[1::2], strict=True):
        for change in pair:
            change(case)
        plan = json.loads(warm("plan", "--format", "json", *words(case)).output)
        old = build(warm, case)
        cold = as_root.empty({"SOURCE_DATE_EPOCH": "1"})
        shutil.copytree(empty, cold.root)
        new = build(cold, case)
        assert (pair, image(old)) == (pair, image(new))
        became = outcomes(old)
        for step in plan["steps"]:
            told, found = step["verdict"], became[step["number"]]
            assert told == "maybe" or (told, found) in (("hit", "CACHED"), ("miss", "DONE"))
        shutil.rmtree(cold.root)


def words(case: Case) -> tuple[str, ...]:
    return ("--build-arg", f"WORD={case.word}", str(case.context))


def build(pybuild: Pybuild, case: Case) -> Done:
    return pybuild("build", "--progress", "plain", *words(case)).ok()


def image(done: Done) -> str:
    return done.errors[done.errors.index("image sha256:") :]


def outcomes(done: Done) -> dict[int, str]:
    found = re.findall(r"^#(\d+) (CACHED|DONE)", done.errors, re.MULTILINE)
    return {int(number): outcome for number, outcome in found}
