"""What a COPY or WORKDIR looks up below it: a large COPY there is as good without its files."""

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import pytest

from buildkit.cache.result import ContextRef, Ref
from buildkit.context.tree import Tree
from buildkit.errors import BuildError
from buildkit.llb.op import CopyOp, MkdirOp
from buildkit.ops.copy_plan import plan
from buildkit.ops.grants import Grants
from buildkit.ops.plan_reading import PlanReading
from buildkit.ops.select import select
from buildkit.ops.stores import Stores
from buildkit.ops.table import BuildOps
from buildkit.progress.cancel import Cancel
from buildkit.progress.reporter import StepReporter
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.piece_writer import NewItems
from buildkit.snapshot.snapshot import Snapshot
from tests.buildkit.ops.cases import parse_copy
from tests.buildkit.ops.stock import Directories, copy, stores_at, vertex
from tests.kernel import needs_root, require
from tests.trees import make_tree

pytestmark = needs_root

LARGE = "large"
"""First line of a layer that is kept as its tar."""

FILL = tuple(f"file fill/f{number} text={number}" for number in range(40))
LONG_AGO = 1_500_000_000
"""Seconds; nothing is later than that, so that all of now has one time."""

CONTEXT = ("file c text=C mtime=5", "dir e 0700", "file e/f 0600 text=F mtime=6", "link e/l -> f")

Made: TypeAlias = tuple[object, ...]


class Pair:
    """Two stores: in `whole` every layer has its tree, in `partial` only what needs one."""

    def __init__(self, whole: Stores, partial: Stores, tmp: Path) -> None:
        self.whole = whole
        self.partial = partial
        self.context = make_tree(tmp / "context", *CONTEXT)
        self._tmp = tmp
        self._number = 0

    def stack(self, layers: Sequence[Sequence[str]]) -> Snapshot | None:
        """Put layers on each other, the same in both stores."""
        found: Snapshot | None = None
        for lines in layers:
            if lines[0] == LARGE:
                self._number += 1
                source = self._tmp / str(self._number)
                make_tree(source, *lines[1:], *FILL)
                made = [large(stores, source, found) for stores in (self.whole, self.partial)]
            else:
                made = [plain(stores, lines, found) for stores in (self.whole, self.partial)]
            assert made[0] == made[1]
            found = made[0]
        return found

    def made(self, stores: Stores, op: CopyOp | MkdirOp, parent: Snapshot | None) -> Made:
        """Return what comes of `op`."""
        with closing(Directories({"context": self.context})) as contexts:
            ops = BuildOps(stores, contexts, Grants({}), clamp=LONG_AGO)
            inputs: tuple[Ref | None, ...] = (parent, ContextRef("context"))
            one = vertex(op, 1 if isinstance(op, MkdirOp) else 2)
            try:
                identity = ops.identify(one, inputs)
                with Cancel() as cancel, StepReporter(lambda _: None, 1) as reporter:
                    outcome = ops.run(one, inputs, identity, reporter, cancel)
            except BuildError as error:
                return type(error), error.message, error.hint
            finally:
                ops.close()
            return outcome.ref, outcome.fingerprint, outcome.listing

    def compare(self, op: CopyOp | MkdirOp, parent: Snapshot | None) -> bool:
        """See that the same comes of `op` with and without trees; say whether it was a layer."""
        if parent is not None:
            self.whole.snapshots.lowers(parent)
        wanted = self.made(self.whole, op, parent)
        assert self.made(self.partial, op, parent) == wanted
        return isinstance(wanted[0], Snapshot)

    def lacking(self, parent: Snapshot | None) -> int:
        """Return how many layers of `parent` have got no tree so far."""
        layers = Layers(self.partial.root)
        return sum(map(layers.lacks_tree, () if parent is None else parent.diff_ids))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stores, Stores]]:
    require("overlay")
    top = tmp_path_factory.mktemp("stores")
    with stores_at(top / "whole") as one, stores_at(top / "partial") as other:
        for each in (one, other):
            each.root.database().execute("UPDATE store SET value='77' WHERE name='seed'")
        yield one, other


@pytest.fixture
def pair(stores: tuple[Stores, Stores], tmp_path: Path) -> Pair:
    return Pair(*stores, tmp_path)


def large(stores: Stores, source: Path, parent: Snapshot | None) -> Snapshot:
    """Commit what is in `source` as a layer that is kept as its tar."""
    op = copy(".", keep_owner=True)
    with ExitStack() as stack:
        fd = os.open(source, os.O_PATH | os.O_DIRECTORY)
        stack.callback(os.close, fd)
        trees = {1: Tree(fd, "source")}
        found = plan(op, select(op, trees), trees, None, clamp=LONG_AGO, now=0)
        assert found is not None
        reading = stack.enter_context(PlanReading(found, trees, lambda: None))
        new = NewItems(found.items, reading.contents, (), None)
        views = stores.snapshots
        return views.commit_items(views.prepare(parent), new).snapshot


def plain(stores: Stores, lines: Sequence[str], parent: Snapshot | None) -> Snapshot:
    """Commit a tree's description as a layer that has its tree."""
    active = stores.snapshots.prepare(parent)
    make_tree(Path(active.upper), *lines)
    return stores.snapshots.commit(active, clamp=LONG_AGO).snapshot


OPAQUE = "xattr.trusted.overlay.opaque=y"
PASSWD = "file etc/passwd text=app:x:5:6::/:/bin/sh"
ROWS = [
    ("a new directory", [[LARGE]], "WORKDIR /app/x", 1),
    ("one that is there", [[LARGE, "dir app 0700 3:4"]], "WORKDIR /app", 1),
    ("in one that is there", [[LARGE, "dir app 02750 3:4 mtime=8"]], "WORKDIR /app/x", 1),
    ("in a file", [[LARGE, "file app"]], "WORKDIR /app/x", 1),
    ("in a link", [[LARGE, "link app -> /real", "dir real 0711"]], "WORKDIR /app/x", 1),
    ("in a link that leads nowhere", [[LARGE, "link app -> /no/real"]], "WORKDIR /app/x", 1),
    ("in a link to a file", [[LARGE, "link app -> f", "file f"]], "WORKDIR /app/x", 1),
    ("in a loop", [[LARGE, "link app -> b", "link b -> app"]], "WORKDIR /app/x", 0),
    (
        "in links through others",
        [["link run -> var/run"], [LARGE, "link var -> ./v/../w", "dir v"], ["link w -> /real"],
         [LARGE, "link real/run -> /deep/../end", "dir end 0700 9:9"]],
        "WORKDIR /run/x", 2,
    ),
    (
        "through more links than are followed",
        [[LARGE, *(f"link l{n} -> l{n + 1}" for n in range(9)), "dir l9 0700"]],
        "WORKDIR /l0/x", 0,
    ),
    ("by .. out of a link", [[LARGE, "link a -> b/c", "dir b/c"]], "WORKDIR /a/../x", 1),
    ("for a user by name", [[LARGE, PASSWD]], "WORKDIR --user=app /x", 1),
    ("for one behind links", [[LARGE, "link etc -> real", PASSWD.replace("etc", "real")]],
     "WORKDIR --user=app /x", 1),
    ("for one who is missing", [[LARGE, PASSWD]], "WORKDIR --user=nobody /x", 1),
    ("for numbers", [[LARGE]], "WORKDIR --user=7:8 /x", 1),
    ("a file in no directory", [[LARGE]], "COPY c /new/", 1),
    ("a file in a directory", [[LARGE, "dir app 0700 3:4 mtime=8"]], "COPY c /app", 1),
    ("a file on a file", [[LARGE, "file app 0600 text=old"]], "COPY c /app", 1),
    ("a file that is the same", [[LARGE, "file app/c text=C mtime=5"]], "COPY c /app/", 1),
    ("a file that is the same but for a bit",
     [[LARGE, "file app/c text=D mtime=5"]], "COPY c /app/", 1),
    ("a link that is the same", [[LARGE, "link app/l -> f"]], "COPY e /app/", 1),
    ("a file on a directory", [[LARGE, "dir app/c", "file app/c/x"]], "COPY c /app/", 1),
    ("a file on a link", [[LARGE, "link app -> /real"]], "COPY c /app", 1),
    ("a file on a link to a directory", [[LARGE, "link app -> /real", "dir real"]],
     "COPY c /app", 1),
    ("a file on a link in a directory", [[LARGE, "link app/c -> /real", "file real"]],
     "COPY c /app/", 1),
    ("a directory into one", [[LARGE, "dir app 0711 3:4", "dir app/e/x"]], "COPY e /app/e/", 1),
    ("a directory onto a link", [[LARGE, "link app/e -> /real", "dir real"]], "COPY . /app/", 1),
    ("a directory onto a file", [[LARGE, "file app/e"]], "COPY . /app/", 1),
    ("all that is there", [[LARGE, "dir e 0700", "file e/f 0600 text=F mtime=6"]],
     "COPY e /e/", 1),
    ("a hard link's name", [[LARGE, "file a text=C mtime=5", "hard x/c = a"]], "COPY c /x/", 1),
    ("several files on a file", [[LARGE, "file app"]], "COPY c e/f /app", 1),
    ("for an owner by name", [[LARGE, PASSWD]], "COPY --chown=app c /x/", 1),
    ("for an owner of a layer above", [[LARGE, PASSWD], [PASSWD.replace("5:6", "7:8")]],
     "COPY --chown=app c /x/", 1),
    ("for an owner that is missing", [[LARGE]], "COPY --chown=app c /x/", 1),
    ("with a mode", [[LARGE, "dir app 0700"]], "COPY --chmod=0640 e /app/e/", 1),
    ("with parents", [[LARGE, "dir e 0711 1:1"]], "COPY --parents e/f /", 1),
    ("without the parent", [[LARGE, "file c"]], "COPY --link c /", 1),
    ("without it but for a name", [[LARGE, PASSWD]], "COPY --link --chown=app c /", 1),
    ("no archive", [[LARGE, "dir app"]], "ADD c /app/", 0),
    ("a directory that is added", [[LARGE, "dir e 0711"]], "ADD e /e/", 1),
    ("what is deleted", [[LARGE, "file app/c", "file app/d"], ["whiteout app/c"]],
     "COPY c /app/", 1),
    ("a directory that is deleted", [[LARGE, "dir app 0700"], ["whiteout app"]],
     "WORKDIR /app/x", 1),
    ("what is deleted and there again", [[LARGE, "file app/c"], ["whiteout app"],
     [LARGE, "dir app 0711 2:2"]], "COPY c /app/", 2),
    ("what is opaque", [[LARGE, "file app/c", "dir app/e"],
     [f"dir app 0711 {OPAQUE}", "file app/z"]], "COPY . /app/", 1),
    ("merged directories", [["dir app 0700 1:1", "file app/c text=C mtime=5"],
     [LARGE, "dir app 0711 2:2 mtime=3"], ["dir app 0755 3:3", "file app/z"], [LARGE, "dir app/e"]],
     "COPY . /app/", 2),
    ("a file above a directory", [[LARGE, "file app/c"], ["whiteout app"], ["file app"]],
     "COPY c /app/", 1),
    ("a directory above a file", [["file app"], [LARGE, "file app/c"]], "COPY c /app/", 1),
    ("attributes of what is below", [["dir app xattr.user.a=1"], [LARGE, "file f"]],
     "COPY c /app/", 1),
    ("twice the same layer", [[LARGE, "file app/c"], ["whiteout app"], [LARGE, "file app/c"]],
     "COPY c /app/", 2),
    ("nearly all of it", [[LARGE]], "COPY . /fill/", 1),
]  # fmt: skip


FAILING = {
    "in a file",
    "in a link to a file",
    "in a loop",
    "for one who is missing",
    "a file on a directory",
    "a directory onto a link",
    "a directory onto a file",
    "several files on a file",
    "for an owner that is missing",
    "a file above a directory",
}


def operation(text: str) -> CopyOp | MkdirOp:
    word, *rest = text.split()
    if word == "WORKDIR":
        user = rest[0].partition("=")[2] if len(rest) > 1 else ""
        return MkdirOp(rest[-1], user)
    return parse_copy(text)[0]


@pytest.mark.parametrize(
    ("name", "layers", "text", "lacking"), ROWS, ids=[str(row[0]) for row in ROWS]
)
def test_a_step_gives_the_same_without_the_files_below(
    name: str, layers: list[list[str]], text: str, lacking: int, pair: Pair
) -> None:
    parent = pair.stack(layers)
    assert pair.compare(operation(text), parent) == (name not in FAILING)
    assert pair.lacking(parent) == lacking


@pytest.mark.parametrize("instruction", ["COPY many /new/", "COPY many /app/", "COPY many /old"])
def test_a_large_copy_on_another_one_needs_no_files_of_it(instruction: str, pair: Pair) -> None:
    lines = [f"file f{number} text={number} mtime={number}" for number in range(210)]
    make_tree(pair.context / "many", *lines)
    there = [line.replace("file ", "file app/") for line in lines[:20]]
    parent = pair.stack([[LARGE, *there, "file app/f30 text=x", "link old -> app"]])
    op = operation(instruction)
    assert pair.compare(op, parent)
    assert pair.lacking(parent) == 1
    outcome = pair.made(pair.partial, op, parent)
    assert isinstance(outcome[0], Snapshot)
    assert pair.lacking(outcome[0]) == 2


NAMES = ("a", "b", "c", "e", "f")
TARGETS = ("a", "/b", "../c", "a/b", "..", "/", "e/../f", "/a/b/c", "nowhere/x", ".", "./e")
OWNERS = ("", "5:6", "app", "app:7")


def random_path(rng: random.Random) -> str:
    return "/".join(rng.choice(NAMES) for _ in range(rng.choice((1, 1, 2, 2, 3))))


def random_layer(rng: random.Random, *, is_large: bool) -> list[str]:
    """Return lines of a layer of few names, of which each is a directory, a file or a link."""
    lines: dict[str, str] = {}
    for _ in range(rng.randrange(1, 9)):
        path = random_path(rng)
        above = [path[:end] for end, char in enumerate(path) if char == "/"]
        if any(one in lines and not lines[one].startswith("dir") for one in above):
            continue
        if path in lines or any(one.startswith(f"{path}/") for one in lines):
            continue
        owner = rng.choice(("", " 3:4"))
        kind = rng.choice(("dir", "file", "file", "link", "other"))
        mtime = rng.choice(("", " mtime=5", " mtime=6"))
        if kind == "link":
            lines[path] = f"link {path} -> {rng.choice(TARGETS)}"
        elif kind == "dir":
            lines[path] = f"dir {path} {rng.choice(('0755', '0700', '01777'))}{owner}"
        elif kind == "other" and is_large and f"file {min(lines, default='')} " in str(lines):
            lines[path] = f"hard {path} = {min(lines)}"
        elif kind == "file" or is_large:
            text = rng.choice(("C", "F", "X"))
            lines[path] = f"file {path} {rng.choice(('0644', '0600'))}{owner} text={text}{mtime}"
        else:
            lines[path] = rng.choice((f"whiteout {path}", f"dir {path} {OPAQUE}"))
    if rng.random() < 0.2 and not any(one.split("/")[0] == "etc" for one in lines):
        lines["etc/passwd"] = PASSWD
    return [LARGE, *lines.values()] if is_large else list(lines.values()) or ["dir a"]


def random_operation(rng: random.Random) -> CopyOp | MkdirOp:
    dest = "/" + rng.choice(("", random_path(rng), f"{random_path(rng)}/../{random_path(rng)}"))
    if rng.random() < 0.3:
        return MkdirOp(dest, rng.choice(OWNERS))
    sources = rng.choice(("c", "e", ".", "c e/f", "e/l", "e/f"))
    flags = [f"--chown={owner}" for owner in [rng.choice(OWNERS)] if owner]
    flags += [flag for flag in ("--chmod=0640", "--parents", "--link") if rng.random() < 0.15]
    return parse_copy(" ".join(["COPY", *flags, sources, dest + rng.choice(("", "/"))]))[0]


SEEDS = int(os.environ.get("PYBUILD_TEST_SEEDS", "12"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_layers_of_all_sorts_are_the_same_without_the_files_below(seed: int, pair: Pair) -> None:
    rng = random.Random(seed)
    kinds = [rng.random() < 0.5 for _ in range(rng.randrange(1, 4))]
    kinds.insert(rng.randrange(len(kinds) + 1), True)
    parent = pair.stack([random_layer(rng, is_large=kind) for kind in kinds])
    for _ in range(4):
        pair.compare(random_operation(rng), parent)
