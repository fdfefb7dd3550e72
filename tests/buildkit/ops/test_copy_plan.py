"""A COPY that is planned gives what one gives that writes its files and reads them again."""

import io
import os
import random
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.context.local import LocalContext
from buildkit.context.tree import Tree
from buildkit.errors import ContextError, StepError, StoreError
from buildkit.fsck.trees import digest_of_tree
from buildkit.gc import Policy, prune
from buildkit.llb.op import CopyOp
from buildkit.oci.digest import Digest
from buildkit.ops.copy import copy_into
from buildkit.ops.copy_plan import plan
from buildkit.ops.leaks import LeakWatch
from buildkit.ops.plan_reading import PlanReading
from buildkit.ops.select import select
from buildkit.ops.stores import Stores
from buildkit.snapshot.layers import Layers
from buildkit.snapshot.layout import PIECES
from buildkit.snapshot.piece_writer import NewItems
from buildkit.snapshot.snapshot import Committed, Snapshot
from buildkit.state.root import StateRoot
from buildkit.tree.walk import walk
from tests.buildkit.ops.cases import TOP, Case, parse_copy, read_cases
from tests.buildkit.ops.stock import layer, stores_at
from tests.kernel import needs_root, require
from tests.trees import make_tree

pytestmark = needs_root

START = time.time_ns()
NOW = START // 10**9 + 1000
LONG_AGO = 1_500_000_000
"""Seconds; files of contexts are of about that time."""


class Scene(NamedTuple):
    """Two stores with the same parent, and the trees of a copy."""

    planned: Stores
    read: Stores
    parents: tuple[Snapshot | None, Snapshot | None]
    trees: Mapping[int, Tree]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stores, Stores]]:
    require("overlay")
    top = tmp_path_factory.mktemp("stores")
    with stores_at(top / "planned") as one, stores_at(top / "read") as other:
        for each in (one, other):
            each.root.database().execute("UPDATE store SET value='77' WHERE name='seed'")
        yield one, other


def scene(
    stack: ExitStack, tmp: Path, stores: tuple[Stores, Stores], sections: Mapping[str, list[str]]
) -> Scene:
    make_tree(tmp / "context", *sections.get("context", []))
    if "ignore" in sections:
        (tmp / "context/.dockerignore").write_text("\n".join(sections["ignore"]) + "\n")
    make_tree(tmp / "stage", *sections.get("stage", []))
    for number, path in enumerate(sorted(tmp.rglob("*"), reverse=True)):
        times = (0, LONG_AGO * 10**9 + number * 1_500_000_000)
        os.utime(path, ns=times, follow_symlinks=False)
    parents: list[Snapshot | None] = [None, None]
    if "parent" in sections:
        for number, one in enumerate(stores):
            active = one.snapshots.prepare(None)
            make_tree(Path(active.upper), *sections["parent"])
            parents[number] = one.snapshots.commit(active, clamp=LONG_AGO).snapshot
    return Scene(*stores, (parents[0], parents[1]), opened(stack, tmp))


def opened(stack: ExitStack, tmp: Path) -> Mapping[int, Tree]:
    """Open the context and the stage in `tmp` as they are now."""
    context = LocalContext.open(str(tmp / "context"))
    stack.callback(context.close)
    stage = os.open(tmp / "stage", os.O_PATH | os.O_DIRECTORY)
    stack.callback(os.close, stage)
    return {1: context.tree, 2: Tree(stage, "stage")}


def planned(
    stores: Stores,
    op: CopyOp,
    trees: Mapping[int, Tree],
    parent: Snapshot | None,
    clamp: int | None,
    earlier: Digest | None = None,
) -> Committed | None:
    """Copy by a plan; None where there is none."""
    below = None if op.link else parent
    with ExitStack() as stack:
        views = stores.snapshots
        view = None if parent is None else stack.enter_context(views.view(parent))
        on = None if below is None else view
        selection = select(op, trees)
        found = plan(op, selection, trees, on, owner_view=view, clamp=clamp, now=NOW * 10**9)
        if found is None:
            return None
        reading = stack.enter_context(PlanReading(found, trees, lambda: None))
        new = NewItems(found.items, reading.contents, found.changed, earlier)
        return views.commit_items(views.prepare(below), new, clamp=clamp)


def read(
    stores: Stores,
    op: CopyOp,
    trees: Mapping[int, Tree],
    parent: Snapshot | None,
    clamp: int | None,
) -> Committed:
    """Copy by writing the files and reading them again."""
    below = None if op.link else parent
    with ExitStack() as stack:
        views = stores.snapshots
        view = None if parent is None else stack.enter_context(views.view(parent))
        active = views.prepare(below)
        stack.callback(views.discard, active)
        on = None if below is None else view
        copy_into(op, select(op, trees), trees, on, active.upper, owner_view=view)
        return views.commit(active, clamp=clamp)


def tar_of(stores: Stores, diff_id: Digest) -> list[tuple[object, ...]]:
    """Return what the tar of a layer says of each file, its time only if it was not made now."""
    parts: list[bytes] = []
    stores.snapshots.pack(diff_id, parts.append)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
        return [
            (one.name, one.type, one.mode, one.uid, one.gid, one.size, one.linkname,
             min(one.mtime, START // 10**9))
            for one in tar
        ]  # fmt: skip


def check_tree(stores: Stores, other: Stores, found: Committed, wanted: Committed) -> None:
    """Hold the tree that is made of the tar against the one that was written."""
    trees = [Layers(found_in.root).fs(one.diff_id)
             for found_in, one in ((stores, found), (other, wanted))]  # fmt: skip
    assert digest_of_tree(str(Path(trees[0]).parent))[0] == found.diff_id
    told = []
    for path in trees:
        fd = os.open(path, os.O_RDONLY)
        entries = [entry for entry, _ in walk(fd)]
        os.close(fd)
        told.append([
            one._replace(inode=one.inode and (0, 0), mtime_ns=0 if not one.path else one.mtime_ns)
            for one in entries
        ])  # fmt: skip
    assert told[0] == told[1]


CASES = [
    pytest.param(case, id=f"{case.place}: {case.name}")
    for case in read_cases(TOP / "fixtures/copy")
    if "error" not in case.sections
]


@pytest.mark.parametrize("case", CASES)
def test_a_planned_copy_gives_the_same_layer(
    case: Case, tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy(case.instruction, case.sections.get("heredocs", []))
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, case.sections)
        for clamp in (1, None):
            found = planned(on.planned, op, on.trees, on.parents[0], clamp)
            if found is None:
                assert _is_hard(case), "there should be a plan"
                return
            wanted = read(on.read, op, on.trees, on.parents[1], clamp)
            assert found.changes == wanted.changes
            assert found.fingerprint == wanted.fingerprint
            if clamp is not None:
                assert (found.diff_id, found.size) == (wanted.diff_id, wanted.size)
                check_tree(on.planned, on.read, found, wanted)
            assert tar_of(on.planned, found.diff_id) == tar_of(on.read, wanted.diff_id)


_TWICE = (
    "several directories are merged into one, the later one wins",
    "a wildcard in the middle",
)
"""Cases that write a file twice."""


def _is_hard(case: Case) -> bool:
    """Say whether a case has something that only `copy.py` can do."""
    if case.name in _TWICE:
        return True
    lines = [line for lines in case.sections.values() for line in lines]
    return any(
        "xattr." in line or line.startswith(("char", "block", "fifo")) for line in lines
    ) or case.instruction.startswith("ADD")


FLAGS = (
    "",
    "--chown=7:8",
    "--chmod=0640",
    "--chmod=u+x,go-w",
    "--exclude=*.skip --exclude=d1",
    "--link",
    "--link --chown=65533:65533",
    "--from=stage",
    "--from=stage --chown=3",
)
NAMES = (
    b"a",
    b"a-b",
    b"a.b",
    b"B",
    b"x.skip",
    b"\xff\xfe",
    b"caf\xc3\xa9",
    b"two words",
    b"c" * 120,
)
LATER = LONG_AGO + 100_000_000
"""Seconds; clamps what is made on the way and no file of a context."""


def grow(rng: random.Random, top: Path, count: int) -> None:
    """Make `count` files, links and directories of all sorts below `top`."""
    directories, files = [os.fsencode(top)], []
    for _ in range(count):
        path = os.path.join(rng.choice(directories), rng.choice(NAMES) + b"%d" % rng.randrange(40))
        if os.path.lexists(path):
            continue
        kind = rng.choice(("file", "file", "file", "link", "hard", "dir", "empty"))
        if kind == "dir":
            os.mkdir(path)
            directories.append(path)
        elif kind == "link":
            os.symlink(rng.choice((b"a", b"../x" * 40, b"/etc/\xff", b"loop")), path)
        elif kind == "hard" and files:
            os.link(rng.choice(files), path, follow_symlinks=False)
        else:
            size = 0 if kind == "empty" else rng.choice((1, 511, 512, 513, 5000))
            write(path, rng.randbytes(size))
            files.append(path)
        dress(rng, path)


def write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def dress(rng: random.Random, path: bytes) -> None:
    """Give a file an owner, a mode and a time."""
    os.chown(path, rng.choice((0, 5)), rng.choice((0, 6)), follow_symlinks=False)
    if not os.path.islink(path):
        os.chmod(
            path,
            rng.choice((0o644, 0o755, 0o4755, 0o600, 0o1777 if os.path.isdir(path) else 0o444)),
        )
    moment = (LONG_AGO + rng.randrange(1000)) * 10**9 + rng.choice((0, 1, 999_999_999))
    os.utime(path, ns=(moment, moment), follow_symlinks=False)


def change(rng: random.Random, top: Path) -> None:
    """Do one or a few of the things that happen to the files of a context."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        found = sorted(os.path.join(at, name)
                       for at, directories, files in os.walk(os.fsencode(top))
                       for name in (*directories, *files))  # fmt: skip
        path = rng.choice(found)
        plain = os.path.isfile(path) and not os.path.islink(path)
        what = rng.choice(("write", "write", "dress", "remove", "new", "swap"))
        if what == "write" and plain:
            write(path, rng.randbytes(rng.choice((0, 3, 4096))))
            dress(rng, path)
        elif what == "dress":
            dress(rng, path)
        elif what == "remove" and not os.path.isdir(path):
            os.unlink(path)
        elif what == "swap" and plain:
            os.unlink(path)
            os.symlink(b"elsewhere", path)
            dress(rng, path)
        elif what == "new":
            grow(rng, top, 3)


@pytest.mark.parametrize("flags", FLAGS)
def test_trees_of_all_sorts_give_the_same_layer(
    flags: str, tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    rng = random.Random(flags)
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"parent": ["dir etc", "file in/the/way mtime=5"]})
        for name in ("context", "stage"):
            grow(rng, tmp_path / name, 150)
        first, _ = parse_copy(f"COPY {flags} . /in", [])
        parents = list(on.parents)
        for _ in range(3):
            trees = opened(stack, tmp_path)
            found = planned(on.planned, first, trees, parents[0], LATER)
            wanted = read(on.read, first, trees, parents[1], LATER)
            assert found is not None
            assert found == wanted._replace(created=found.created)
            assert tar_of(on.planned, found.diff_id) == tar_of(on.read, wanted.diff_id)
            check_tree(on.planned, on.read, found, wanted)
            # What the parent has already is no change, and is found to be none.
            parents = [found.snapshot, wanted.snapshot]
            for name in ("context", "stage"):
                change(rng, tmp_path / name)


@pytest.mark.parametrize("seed", range(3))
def test_many_changes_give_what_a_build_on_an_empty_store_gives(
    seed: int, tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    rng = random.Random(seed)
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"parent": ["dir etc", "file in/a1 mtime=5"]})
        grow(rng, tmp_path / "context", 120)
        earlier, linked = None, 0
        for number in range(20):
            trees = opened(stack, tmp_path)
            found = planned(on.planned, op, trees, on.parents[0], LATER, earlier)
            assert found is not None
            anew = read(on.read, op, trees, on.parents[1], LATER)
            assert found == anew._replace(created=found.created)
            assert tar_of(on.planned, found.diff_id) == tar_of(on.read, anew.diff_id)
            linked += is_linked(on.planned, found.diff_id)
            if number % 5 == 4:
                check_tree(on.planned, on.read, found, anew)
            earlier = found.diff_id
            change(rng, tmp_path / "context")
        assert linked > 10


def is_linked(stores: Stores, diff_id: Digest) -> bool:
    """Say whether a layer has a piece of its tar that another one has, too."""
    folder = Path(Layers(stores.root).directory(diff_id)) / PIECES
    return any(path.stat().st_nlink > 1 for path in folder.iterdir())


def test_a_damaged_layer_passes_nothing_on(tmp_path: Path, stores: tuple[Stores, Stores]) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": ["file a text=A", "file b text=damage"]})
        first = planned(on.planned, op, on.trees, None, LATER)
        assert first is not None
        folder = Path(Layers(on.planned.root).directory(first.diff_id)) / PIECES
        piece = folder / "0"
        piece.write_bytes(piece.read_bytes().replace(b"damage", b"DAMAGE"))
        write(os.fsencode(tmp_path / "context/a"), b"new")
        trees = opened(stack, tmp_path)
        found = planned(on.planned, op, trees, None, LATER, first.diff_id)
        assert found is not None
        assert not is_linked(on.planned, found.diff_id)
        assert found.diff_id == read(on.read, op, trees, None, LATER).diff_id
        with pytest.raises(StoreError, match="is damaged"):
            on.planned.snapshots.pack(first.diff_id, lambda _: None)
        with pytest.raises(StoreError, match="is damaged"):
            Layers(on.planned.root).fs(first.diff_id)
        index = folder / "index"
        index.write_bytes(index.read_bytes()[:-1] + b"?")
        again = planned(on.planned, op, trees, None, LATER, first.diff_id)
        assert again is not None
        assert again.diff_id == found.diff_id


@pytest.mark.parametrize("size", [3, 300_000])
@pytest.mark.parametrize("what", ["content", "longer", "shorter", "gone", "link"])
def test_a_file_that_has_changed_since_fails_by_name(
    what: str, size: int, tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": ["dir d", f"file d/a text={'x' * size}"]})
        selection = select(op, on.trees)
        found = plan(op, selection, on.trees, None, now=1)
        assert found is not None
        path = tmp_path / "context/d/a"
        if what in ("gone", "link"):
            path.unlink()
        if what == "link":
            path.symlink_to("/etc/passwd")
        elif what != "gone":
            path.write_text(
                {"content": "y" * size, "longer": "x" * (size + 1), "shorter": "x"}[what]
            )
        views = on.planned.snapshots
        with PlanReading(found, on.trees, lambda: None) as reading:
            new = NewItems(found.items, reading.contents, found.changed, None)
            with pytest.raises(ContextError, match="'d/a' changed while it was read"):
                views.commit_items(views.prepare(None), new)


def test_a_tree_of_another_boot_is_made_again(
    tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": ["file another text=A"]})
        made = planned(on.planned, op, on.trees, None, LATER)
        assert made is not None
        fs = Path(Layers(on.planned.root).fs(made.diff_id))
        (fs / "in/another").write_text("torn")
        assert Layers(on.planned.root).fs(made.diff_id) == str(fs)
        assert (fs / "in/another").read_text() == "torn"
        (fs.parent / PIECES / "boot").write_text("another")
        assert Layers(on.planned.root).fs(made.diff_id) == str(fs)
        assert (fs / "in/another").read_text() == "A"


def test_a_tree_stays_as_long_as_the_command_that_asked_for_it(tmp_path: Path) -> None:
    require("overlay")
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        with stores_at(tmp_path / "store") as stores:
            make_tree(tmp_path / "context", "file a text=A")
            make_tree(tmp_path / "stage")
            made = planned(stores, op, opened(stack, tmp_path), None, LATER)
            assert made is not None
        with (
            StateRoot.open(str(tmp_path / "store")) as asking,
            StateRoot.open(str(tmp_path / "store")) as pruning,
        ):
            fs = Path(Layers(asking).fs(made.diff_id))
            prune(pruning, Policy(steps="all"))
            assert (fs / "in/a").read_text() == "A"
            asking.lease.release()
            prune(pruning, Policy(steps="all"))
            assert not fs.exists()


def test_a_layer_in_pieces_is_synced_alone_or_with_others(
    tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": ["file synced text=A"]})
        root = on.planned.root
        on.planned.snapshots.sync()
        for others in (False, True):
            write(os.fsencode(tmp_path / "context/synced"), b"%d" % others)
            made = planned(on.planned, op, opened(stack, tmp_path), None, LATER)
            assert made is not None
            found = root.database().execute("SELECT diff_id FROM layer WHERE synced=0").fetchall()
            assert found == [(made.diff_id,)]
            if others:
                layer(on.planned, "file another")
            on.planned.snapshots.sync()
            assert not root.database().execute("SELECT 1 FROM layer WHERE synced=0").fetchall()


def test_an_equal_copy_keeps_the_layer_with_its_times(
    tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": ["file f text=A", "file g text=B"]})
        for store, make in ((on.planned, planned), (on.read, read)):
            earlier = make(store, op, opened(stack, tmp_path), None, LATER)
            assert earlier is not None
            os.utime(tmp_path / "context/f", (5, 5))
            trees = opened(stack, tmp_path)
            found = plan(op, select(op, trees), trees, None, now=1)
            assert found is not None
            known = [(earlier.diff_id, "2020-01-01T00:00:00Z")]
            views = store.snapshots
            with PlanReading(found, trees, lambda: None) as reading:
                new = NewItems(found.items, reading.contents, found.changed, None)
                again = views.commit_items(
                    views.prepare(None), new, candidates=lambda _, known=known: known
                )
            assert again.reused
            assert again.diff_id == earlier.diff_id
            assert again.created == known[0][1]


def test_no_copy_equals_a_layer_that_is_damaged(
    tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": ["file f text=damaged", "file g"]})
        earlier = planned(on.planned, op, on.trees, None, LATER)
        assert earlier is not None
        index = Path(Layers(on.planned.root).directory(earlier.diff_id)) / PIECES / "index"
        index.write_bytes(index.read_bytes()[:-1])
        os.utime(tmp_path / "context/f", (5, 5))
        trees = opened(stack, tmp_path)
        found = plan(op, select(op, trees), trees, None, now=1)
        assert found is not None
        views = on.planned.snapshots
        with PlanReading(found, trees, lambda: None) as reading:
            new = NewItems(found.items, reading.contents, found.changed, None)
            known = [(earlier.diff_id, "2020-01-01T00:00:00Z")]
            again = views.commit_items(views.prepare(None), new, candidates=lambda _: known)
        assert not again.reused


@pytest.mark.parametrize("damaged", [False, True])
def test_what_a_step_has_written_may_be_a_layer_kept_as_its_tar(
    damaged: bool, tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy("COPY . /in", [])
    lines = [f"file f text=written-{damaged} mtime=5"]
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": lines})
        earlier = planned(on.planned, op, on.trees, None, LATER)
        assert earlier is not None
        index = Path(Layers(on.planned.root).directory(earlier.diff_id)) / PIECES / "index"
        if damaged:
            index.write_bytes(index.read_bytes()[:-1])
        views = on.planned.snapshots
        active = views.prepare(None)
        make_tree(Path(active.upper), *(line.replace("file f", "file in/f") for line in lines))
        known = [(earlier.diff_id, "2020-01-01T00:00:00Z")]
        again = views.commit(active, candidates=lambda _: known)
        assert again.reused != damaged
        assert not (index.parents[1] / "fs").exists()


def test_holes_are_left_to_who_keeps_them(tmp_path: Path, stores: tuple[Stores, Stores]) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        scene(stack, tmp_path, stores, {"context": ["file f"]})
        os.truncate(tmp_path / "context/f", 8 << 20)
        trees = opened(stack, tmp_path)
        assert plan(op, select(op, trees), trees, None, now=1) is None


def test_what_is_searched_for_is_seen_in_every_file(
    tmp_path: Path, stores: tuple[Stores, Stores]
) -> None:
    op, _ = parse_copy("COPY . /in", [])
    with ExitStack() as stack:
        on = scene(stack, tmp_path, stores, {"context": ["file a text=hush-hush-hush", "file b"]})
        earlier = planned(on.planned, op, on.trees, None, LATER)
        assert earlier is not None
        views = on.planned.snapshots
        found = plan(op, select(op, on.trees), on.trees, None, clamp=LATER, now=NOW * 10**9)
        assert found is not None
        with PlanReading(found, on.trees, lambda: None) as reading:
            new = NewItems(found.items, reading.contents, found.changed, earlier.diff_id)
            with pytest.raises(StepError, match=r"secret token is in the layer .* /in/a"):
                views.commit_items(
                    views.prepare(None), new, watch=LeakWatch({"token": b"hush-hush-hush"})
                )
