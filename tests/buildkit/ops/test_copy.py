"""COPY from contexts and stages: every case in fixtures/copy, and what no case can say."""

import os
import stat
import threading
from pathlib import Path

import pytest

from buildkit.context.local import LocalContext
from buildkit.context.tree import Tree
from buildkit.errors import BuildError, ContextError
from buildkit.llb.op import CopyOp
from buildkit.ops.copy import copy_into
from buildkit.ops.earlier import Earlier
from buildkit.ops.select import select
from buildkit.ops.selection import Entry, Selection
from buildkit.ops.target import Attributes
from tests.buildkit.ops.cases import TOP, Case, parse_copy, read_cases
from tests.trees import make_tree, read_tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files away")

pytestmark = needs_root


class Stage:
    """A context, a stage and a parent on disk, and copies between them."""

    def __init__(self, tmp: Path, sections: dict[str, list[str]]) -> None:
        self.tmp = tmp
        make_tree(tmp / "context", *sections.get("context", []))
        if "ignore" in sections:
            (tmp / "context/.dockerignore").write_text("\n".join(sections["ignore"]) + "\n")
        make_tree(tmp / "stage", *sections.get("stage", []))
        self.parent: int | None = None
        if "parent" in sections:
            make_tree(tmp / "parent", *sections["parent"])
            self.parent = os.open(tmp / "parent", os.O_PATH | os.O_DIRECTORY)
        self.context = LocalContext.open(str(tmp / "context"))
        self.stage = os.open(tmp / "stage", os.O_PATH | os.O_DIRECTORY)
        self.trees = {1: self.context.tree, 2: Tree(self.stage, "stage")}

    def select(self, op: CopyOp) -> Selection:
        return select(op, self.trees)

    def copy(self, op: CopyOp, selection: Selection) -> list[str]:
        upper = self.tmp / "upper"
        upper.mkdir()
        view = None if op.link else self.parent
        copy_into(op, selection, self.trees, view, str(upper), owner_view=self.parent)
        return read_tree(upper)

    def close(self) -> None:
        self.context.close()
        self.trees[2].close()
        os.close(self.stage)
        if self.parent is not None:
            os.close(self.parent)


def run(tmp: Path, sections: dict[str, list[str]], instruction: str) -> list[str]:
    op, _ = parse_copy(instruction, sections.get("heredocs", []))
    stage = Stage(tmp, sections)
    try:
        return stage.copy(op, stage.select(op))
    finally:
        stage.close()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{case.place}: {case.name}")
        for case in read_cases(TOP / "fixtures/copy")
    ],
)
def test_a_copy_gives_what_its_case_says(case: Case, tmp_path: Path) -> None:
    if any(line.startswith("char") for lines in case.sections.values() for line in lines):
        _skip_without_devices(tmp_path)
    if "error" in case.sections:
        with pytest.raises(BuildError) as caught:
            run(tmp_path, case.sections, case.instruction)
        assert case.sections["error"][0] in caught.value.message
        assert case.sections.get("hint", [""])[0] in caught.value.hint
        return
    found = run(tmp_path, case.sections, case.instruction)
    wanted = make_tree(tmp_path / "wanted", *case.sections["upper"])
    assert found == read_tree(wanted)


def _skip_without_devices(tmp: Path) -> None:
    try:
        os.mknod(tmp / "device", stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made in a user namespace")


def test_a_file_that_changes_between_selecting_and_copying_fails_by_name(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": ["file src/a text=one", "file src/b text=two"]})
    op, _ = parse_copy("COPY src /d/")
    selection = stage.select(op)
    (tmp_path / "context/src/b").write_text("six")
    with pytest.raises(ContextError, match="'src/b' changed while it was read"):
        stage.copy(op, selection)
    stage.close()


@pytest.mark.parametrize("kind", ["fifo", "dir", "link", "gone"])
def test_a_file_that_becomes_something_else_fails_by_name(tmp_path: Path, kind: str) -> None:
    stage = Stage(tmp_path, {"context": ["file src/a text=one"]})
    op, _ = parse_copy("COPY src /d/")
    selection = stage.select(op)
    (tmp_path / "context/src/a").unlink()
    if kind != "gone":
        make_tree(tmp_path / "context", f"{kind} src/a -> /etc/passwd")
    with pytest.raises(ContextError, match="'src/a' changed while it was read"):
        stage.copy(op, selection)
    stage.close()


def test_a_directory_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    make_tree(tmp_path / "outside", "file a text=one")
    stage = Stage(tmp_path, {"context": ["file src/d/a text=one"]})
    op, _ = parse_copy("COPY src /d/")
    selection = stage.select(op)
    (tmp_path / "context/src/d").rename(tmp_path / "context/elsewhere")
    (tmp_path / "context/src/d").symlink_to(tmp_path / "outside")
    with pytest.raises(ContextError, match="'src/d' changed while it was read"):
        stage.copy(op, selection)
    stage.close()


def test_times_are_kept_to_the_nanosecond(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": ["file src/d/a text=1", "link src/l -> d"]})
    times = {"a": -(10**18) + 1, "d": 4_102_444_800_123_456_789, "l": 7}
    os.utime(tmp_path / "context/src/d/a", ns=(0, times["a"]))
    os.utime(tmp_path / "context/src/l", ns=(0, times["l"]), follow_symlinks=False)
    os.utime(tmp_path / "context/src/d", ns=(0, times["d"]))
    op, _ = parse_copy("COPY src /x/")
    stage.copy(op, stage.select(op))
    top = tmp_path / "upper/x"
    found = {path.name: path.lstat().st_mtime_ns for path in (top / "d/a", top / "d", top / "l")}
    wanted = {name: (tmp_path / "context/src" / rest).lstat().st_mtime_ns
              for name, rest in (("a", "d/a"), ("d", "d"), ("l", "l"))}  # fmt: skip
    assert found == wanted
    stage.close()


def test_a_copied_up_directory_keeps_its_time(tmp_path: Path) -> None:
    sections = {"context": ["file a text=1"], "parent": ["dir x/y mtime=77", "dir x mtime=88"]}
    stage = Stage(tmp_path, sections)
    os.utime(tmp_path / "parent/x", (88, 88))
    op, _ = parse_copy("COPY a /x/y/")
    stage.copy(op, stage.select(op))
    assert (tmp_path / "upper/x/y").stat().st_mtime == 77
    assert (tmp_path / "upper/x").stat().st_mtime == 88
    stage.close()


def test_holes_stay_holes(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": ["dir src"]})
    path = tmp_path / "context/src/disk"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(10 << 20)
        file.write(b"data" * 1000)
        file.seek(64 << 20)
        file.write(b"end")
    if path.stat().st_blocks * 512 > 32 << 20:
        pytest.skip("no holes on this file system")
    op, _ = parse_copy("COPY src /d/")
    stage.copy(op, stage.select(op))
    copied = tmp_path / "upper/d/disk"
    assert copied.stat().st_blocks * 512 < 1 << 20
    assert copied.read_bytes() == path.read_bytes()
    stage.close()


def test_file_capabilities_and_set_id_bits_survive_a_change_of_owner(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"stage": ["file tool 6755 0:0 text=x"]})
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    try:
        os.setxattr(tmp_path / "stage/tool", "security.capability", capability)
    except OSError:
        pytest.skip("no file capabilities on this file system")
    op, _ = parse_copy("COPY --from=stage --chown=5:6 tool /")
    stage.copy(op, stage.select(op))
    copied = tmp_path / "upper/tool"
    assert os.getxattr(copied, "security.capability") == capability
    assert copied.stat().st_mode & 0o7777 == 0o6755
    assert (copied.stat().st_uid, copied.stat().st_gid) == (5, 6)
    stage.close()


def test_attributes_of_overlayfs_and_labels_are_not_copied(tmp_path: Path) -> None:
    names = ["user.overlay.opaque", "trusted.overlay.redirect", "user.kept"]
    stage = Stage(tmp_path, {"context": ["file src/d/a text=1"]})
    for name in names:
        try:
            os.setxattr(tmp_path / "context/src/d", name, b"y")
            os.setxattr(tmp_path / "context/src/d/a", name, b"y")
        except PermissionError:
            assert name.startswith("trusted.")  # not to be had in a user namespace
    op, _ = parse_copy("COPY src /x/")
    stage.copy(op, stage.select(op))
    for path in ("upper/x/d", "upper/x/d/a"):
        assert os.listxattr(tmp_path / path) == ["user.kept"]
    stage.close()


def test_odd_names_and_deep_trees_are_copied(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": ["dir src"]})
    here = os.open(tmp_path / "context/src", os.O_RDONLY)
    for name in (b"\xff\xfe", b"a\nb", b"*", b"z" * 255):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    for number in range(300):
        name = f"{number}".encode() * 5
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    os.close(here)
    op, _ = parse_copy("COPY src /d/")
    selection = stage.select(op)
    (tmp_path / "upper").mkdir()
    copied = copy_into(op, selection, stage.trees, None, str(tmp_path / "upper"))
    assert copied.files == 4 + 300 + 1
    assert len(os.listdir(tmp_path / "upper/d")) == 5
    stage.close()


def test_two_names_of_one_file_and_two_equal_files_have_different_digests(tmp_path: Path) -> None:
    one = Stage(tmp_path / "1", {"context": ["file s/a text=x", "hard s/b = s/a"]})
    two = Stage(tmp_path / "2", {"context": ["file s/a text=x", "file s/b text=x"]})
    op, _ = parse_copy("COPY s /d/")
    assert one.select(op).digests != two.select(op).digests
    one.close()
    two.close()


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("file s/a text=x mtime=1", "file s/a text=x mtime=2", True),
        ("file s/a text=x", "file s/a 0644 7:7 text=x", True),
        ("file s/a text=x", "file s/a text=y", False),
        ("file s/a text=x", "file s/a 0600 text=x", False),
        ("file s/a text=x", "file s/b text=x", False),
        ("file s/a text=x", "file s/a text=x xattr.user.a=1", False),
        ("link s/a -> x", "link s/a -> y", False),
        ("link s/a -> x", "file s/a text=x", False),
        ("dir s/a", "file s/a", False),
    ],
)
def test_a_digest_tells_what_a_copy_of_a_context_would_differ_in(
    tmp_path: Path, left: str, right: str, *, same: bool
) -> None:
    one = Stage(tmp_path / "1", {"context": [left]})
    two = Stage(tmp_path / "2", {"context": [right]})
    op, _ = parse_copy("COPY s /d/")
    assert (one.select(op).digests == two.select(op).digests) == same
    one.close()
    two.close()


def test_modes_do_not_count_when_chmod_replaces_them(tmp_path: Path) -> None:
    one = Stage(tmp_path / "1", {"context": ["file s/a 0644 text=x"]})
    two = Stage(tmp_path / "2", {"context": ["file s/a 0664 text=x"]})
    octal, _ = parse_copy("COPY --chmod=755 s /d/")
    symbolic, _ = parse_copy("COPY --chmod=+x s /d/")
    assert one.select(octal).digests == two.select(octal).digests
    assert one.select(symbolic).digests != two.select(symbolic).digests
    one.close()
    two.close()


def test_a_manifest_names_every_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": ["file s/a text=x", "link s/l -> a"]})
    op, _ = parse_copy("COPY s /d/")
    selection = stage.select(op)
    lines = selection.manifest(1).decode().splitlines()
    assert lines == [
        '["s/a","file",420,0,0,"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",""]',
        '["s/l","link",511,0,0,"a",""]',
    ]
    stage.close()


def test_a_copy_can_be_stopped(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": ["file s/a text=x"]})
    op, _ = parse_copy("COPY s /d/")
    selection = stage.select(op)

    def stop() -> None:
        raise KeyboardInterrupt

    (tmp_path / "upper").mkdir()
    with pytest.raises(KeyboardInterrupt):
        copy_into(op, selection, stage.trees, None, str(tmp_path / "upper"), check=stop)
    stage.close()


def test_an_earlier_file_is_linked_instead_of_copied(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"context": ["file s/a text=x", "file s/b text=y"]})
    make_tree(tmp_path / "earlier", "file kept text=x")
    directory = os.open(tmp_path / "earlier", os.O_RDONLY)
    op, _ = parse_copy("COPY s /d/")
    selection = stage.select(op)
    (tmp_path / "upper").mkdir()

    def link_from(path: str, _entry: Entry, _wanted: Attributes) -> Earlier | None:
        return Earlier(directory, "kept", 1) if path == "d/a" else None

    copy_into(op, selection, stage.trees, None, str(tmp_path / "upper"), link_from=link_from)
    linked = (tmp_path / "upper/d/a").stat()
    assert linked.st_ino == (tmp_path / "earlier/kept").stat().st_ino
    assert (tmp_path / "upper/d/b").read_text() == "y"
    os.close(directory)
    stage.close()


def test_a_context_that_moves_all_the_time_leaks_nothing(tmp_path: Path) -> None:
    make_tree(tmp_path / "outside", "file a text=SECRET", "file x text=SECRET")
    sections = {"context": ["file src/d/a text=good", "file src/x text=good"]}
    stage = Stage(tmp_path, sections)
    src = tmp_path / "context/src"
    done = threading.Event()

    def race() -> None:
        while not done.is_set():
            for name in ("d", "x"):
                (src / name).rename(src / "aside")
                (src / name).symlink_to(tmp_path / "outside")
                (src / name).unlink()
                (src / "aside").rename(src / name)

    racer = threading.Thread(target=race)
    racer.start()
    op, _ = parse_copy("COPY src /d/")
    try:
        for number in range(100):
            upper = tmp_path / f"upper{number}"
            upper.mkdir()
            trees = {1: Tree(stage.context.tree.root_fd, "context", special=False)}
            try:
                copy_into(op, select(op, trees), trees, None, str(upper))
            except ContextError:
                continue
            finally:
                trees[1].close()
            for path in upper.rglob("*"):
                assert path.is_symlink() or path.is_dir() or path.read_text() == "good"
    finally:
        done.set()
        racer.join()
        stage.close()
