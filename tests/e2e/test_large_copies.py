"""A COPY of many small files is kept as its tar, and becomes a tree when somebody looks at it."""

import os
from pathlib import Path

from tests.callers import Caller
from tests.program import Pybuild

FIXED = {"SOURCE_DATE_EPOCH": "1000000000"}
"""Makes two builds of one context the same to the byte."""

DOCKERFILE = "FROM busybox\nCOPY --chown=5:6 src /src\n"
TREE = (
    *(f"file src/d/{number} 0640 text=x{number}" for number in range(220)),
    "file src/tool 4755 text=tool",
    "hard src/same = src/tool",
    "link src/link -> d/1",
    "dir src/empty 0700",
)


def layers_of(program: Pybuild) -> list[str]:
    found: list[str] = program.inspect("test")["RootFS"]["Layers"]
    return found


def trees_of(program: Pybuild, diff_id: str) -> set[str]:
    """Return in which forms a layer is kept."""
    return set(os.listdir(program.root / "layers" / diff_id.removeprefix("sha256:")))


def test_a_large_copy_gives_the_same_for_everybody(
    as_root: Caller, as_rootless: Caller, as_single: Caller
) -> None:
    made = []
    for caller in (as_root, as_rootless, as_single):
        program = caller.fresh(FIXED)
        context = caller.context(DOCKERFILE, *TREE)
        made.append([])
        for text in ("one", "two"):
            caller.write(context / "src/d/7", text)
            program.build(context).ok()
            made[-1].append(layers_of(program))
        assert trees_of(program, made[-1][-1][-1]) == {"tar"}
        program("fsck", "--full").ok()
        script = "test /src/tool -ef /src/same && ls -l /src/tool && cat /src/d/7 /src/link"
        said = program.run("test", "sh", "-c", script).ok().output
        # Whose it is only they are shown who have more than one id.
        assert said.startswith("-rwsr-xr-x    2 ")
        assert said.endswith("/src/tool\ntwox1")
        assert trees_of(program, made[-1][-1][-1]) == {"fs", "tar"}
        program("fsck", "--full").ok()
    assert made[0] == made[1] == made[2]


def test_steps_that_write_no_more_than_they_look_at_need_no_files_of_it(
    as_root: Caller, as_rootless: Caller, as_single: Caller
) -> None:
    large = "FROM busybox AS large\nCOPY --chown=5:6 src /src\n"
    behind = (
        "FROM large\nWORKDIR /way/x\nCOPY more /src/d/\nCOPY --chown=root more/1 /src/way/8\n"
        "COPY --chmod=600 more /new/\nCOPY --link more /src/tool/\n"
    )
    tree = (*TREE, "link src/way -> ../src/d", "file more/1 text=y", "link more/l -> 1")
    made = []
    for caller in (as_root, as_rootless, as_single):
        context = caller.context(large, *tree)
        whole, partial = caller.fresh(FIXED), caller.fresh(FIXED)
        whole.build(context).ok()
        assert whole.run("test", "cat", "/src/d/8").output == "x8"
        caller.write(context / "Dockerfile", large + behind)
        for program in (whole, partial):
            program.build(context).ok()
            made.append(layers_of(program))
        assert trees_of(partial, made[-1][1]) == {"tar"}
        assert not list((partial.root / "tmp").iterdir())
        partial("fsck", "--full").ok()
        assert partial.run("test", "cat", "/src/d/1", "/src/d/8", "/src/d/9").output == "yyx9"
    assert all(layers == made[0] for layers in made)


def test_a_layer_stays_whole_when_the_one_it_shares_with_goes(as_root: Caller) -> None:
    program = as_root.fresh(FIXED)
    context = as_root.context(DOCKERFILE, *TREE)
    program.build(context).ok()
    first = layers_of(program)[-1]
    (context / "src/d/7").write_text("two")
    program.build(context).ok()
    last = layers_of(program)[-1]
    pieces = program.root / "layers" / last.removeprefix("sha256:") / "tar"
    assert any(path.stat().st_nlink > 1 for path in pieces.iterdir())
    program("prune", "--all", "--force").ok()
    assert not (program.root / "layers" / first.removeprefix("sha256:")).exists()
    program("fsck", "--full").ok()
    program("tree", "test").ok()
    assert trees_of(program, last) == {"tar"}
    assert "/src/d/7" in program("size", "--top", "300", "test").ok().output
    for _ in range(2):
        assert program.run("test", "cat", "/src/d/7", "/src/d/8").output == "twox8"
        assert trees_of(program, last) == {"fs", "tar"}
        program("prune", "--all", "--force").ok()
        assert trees_of(program, last) == {"tar"}


def test_steps_behind_a_large_copy_see_its_files(as_root: Caller, tmp_path: Path) -> None:
    dockerfile = (
        "FROM busybox AS one\nCOPY src /src\n"
        "FROM busybox\nCOPY --from=one /src /copied\nRUN echo more >> /copied/d/7\n"
        "COPY src /copied\n"
    )
    context = as_root.context(dockerfile, *TREE)
    program, anew = as_root.fresh(FIXED), as_root.fresh(FIXED)
    for number in range(2):
        (context / f"src/d/{number}").write_text("another")
        program.build(context).ok()
    anew.build(context).ok()
    assert layers_of(program) == layers_of(anew)
    # The last COPY has nothing new but the file that the RUN has changed.
    program("save", "-o", tmp_path / "out.tar", "test").ok()
    anew("load", "-q", "-i", tmp_path / "out.tar").ok()
    assert anew.run("test", "cat", "/copied/d/7", "/copied/d/1").output == "x7another"
    program("fsck", "--full").ok()


def test_damage_is_found_and_mended_by_the_next_build(as_root: Caller) -> None:
    program = as_root.fresh(FIXED)
    context = as_root.context(DOCKERFILE, *TREE)
    program.build(context).ok()
    wanted = layers_of(program)
    path = program.root / "layers" / wanted[-1].removeprefix("sha256:") / "tar/0"
    data = path.read_bytes()
    path.write_bytes(data[:5000] + b"?" + data[5001:])
    done = program.run("test", "true")
    assert done.status != 0
    assert "damaged" in done.errors
    assert "hint: pybuild fsck --repair" in done.errors
    assert program("fsck", "--full").status == 1
    program("fsck", "--full", "--repair").ok()
    program("fsck", "--full").ok()
    program.build(context).ok()
    assert layers_of(program) == wanted
    assert program.run("test", "cat", "/src/d/7").output == "x7"


def test_a_damaged_tree_goes_and_its_image_stays(as_root: Caller) -> None:
    program = as_root.fresh(FIXED)
    program.build(as_root.context(DOCKERFILE, *TREE)).ok()
    assert program.run("test", "cat", "/src/d/7").output == "x7"
    layer = program.root / "layers" / layers_of(program)[-1].removeprefix("sha256:")
    (layer / "fs/src/d/7").write_text("y7")
    done = program("fsck", "--full")
    assert done.status == 1
    assert "has a directory with other content than its tar, which is whole" in done.output
    program("fsck", "--full", "--repair").ok()
    program("fsck", "--full").ok()
    assert program.run("test", "cat", "/src/d/7").output == "x7"


def test_a_copy_that_is_no_longer_planned_does_without_a_damaged_one(as_root: Caller) -> None:
    program = as_root.fresh()  # where times are fixed no files are linked
    context = as_root.context("FROM busybox\nCOPY src /src\n", *TREE)
    program.build(context).ok()
    piece = program.root / "layers" / layers_of(program)[-1].removeprefix("sha256:") / "tar/0"
    os.truncate(piece, 5000)
    os.mkfifo(context / "src/fifo")
    program.build(context).ok()
    assert program.run("test", "cat", "/src/d/7").output == "x7"
