"""What a miss says, from build to build."""

from collections.abc import Sequence

from buildkit.cache.manifest import FileState, line
from buildkit.llb.op import ExecOp, ImageOp
from buildkit.oci.digest import Digest
from tests.buildkit.solver.fakes import FakeOps, Plan, execute, image
from tests.buildkit.solver.test_solve import Machine

A = FileState(path="a.py", kind="file", mode=0o644, uid=0, gid=0, content="sha256:1")


def manifest(*files: FileState) -> str:
    return b"".join(map(line, files)).decode()


def build(
    machine: Machine,
    commands: Sequence[str | ExecOp] = ("make",),
    base: ImageOp | None = None,
    *,
    files: str = "",
) -> dict[str, str]:
    """Build FROM `base`, perhaps COPY, then RUN `commands`; return why what ran."""
    plan = Plan()
    name = plan.base(base)
    if files:
        machine.ops.files["."] = files
        name = plan.copy(name, plan.context(), ".")
    for command in commands:
        op = execute(command) if isinstance(command, str) else command
        name = plan.add(op, name)
    machine.build(plan.graph, name, arguments=["VERSION"])
    return machine.whys()


def test_the_first_build_has_nothing_to_compare_with() -> None:
    assert build(Machine()) == {"make": "not built before"}


def test_a_step_that_was_not_there_is_new() -> None:
    machine = Machine()
    build(machine, ["make", "test"])
    assert build(machine, ["make", "install", "test"]) == {
        "install": "new step",
        "test": "parent step changed",
    }


def test_an_edited_command_is_told_as_such() -> None:
    machine = Machine()
    build(machine, ["make", "test"])
    assert build(machine, ["make -j", "test"]) == {
        "make -j": "command changed",
        "test": "parent step changed",
    }


def test_changed_files_are_told_by_the_copy_and_not_by_what_follows() -> None:
    machine = Machine()
    build(machine, files=manifest(A))
    changed = A._replace(mode=0o755, content="sha256:2")
    assert build(machine, files=manifest(changed, A._replace(path="b.py"))) == {
        "CopyOp": "a.py changed, mode of a.py 0644 -> 0755, added b.py",
        "make": "parent step changed",
    }


def test_a_changed_argument_is_told_with_both_values() -> None:
    machine = Machine()
    make = execute("make")
    build(machine, [make._replace(env=(("VERSION", "1.2"), ("MODE", "a")))])
    assert build(machine, [make._replace(env=(("VERSION", "1.3"), ("MODE", "b")))]) == {
        "make": "ENV MODE a -> b, ARG VERSION 1.2 -> 1.3"
    }


def test_a_moved_base_is_named_with_both_digests() -> None:
    machine = Machine()
    build(machine, ["make", "test"])
    moved = image(config=b"new")._replace(diff_ids=(Digest.of(b"new layer"),))
    assert build(machine, ["make", "test"], moved) == {
        "make": f"base debian:12 moved from {image().config} to {moved.config}",
        "test": "parent step changed",
    }


def test_another_base_is_named() -> None:
    machine = Machine()
    build(machine)
    other = ImageOp("debian:13", Digest.of(b"13"), (Digest.of(b"13"),), "linux/amd64")
    assert build(machine, base=other) == {"make": "base debian:12 -> debian:13"}


def test_a_change_undone_needs_no_reason_since_nothing_runs() -> None:
    machine = Machine()
    build(machine, files=manifest(A))
    build(machine, files=manifest(A._replace(content="sha256:2")))
    assert build(machine, files=manifest(A)) == {}


def test_after_a_failed_build_the_last_one_that_came_so_far_is_compared() -> None:
    machine = Machine()
    build(machine, ["a", "b", "c"])

    def fails(*_: object) -> None:
        raise RuntimeError("broken")

    machine.ops.scripts = {"a2": fails}
    assert build(machine, ["a2", "b", "c"]) == {"a2": "command changed"}
    machine.ops.scripts.clear()
    assert build(machine, ["a2", "b", "c"]) == {
        "a2": "failed last time",
        "b": "parent step changed",
        "c": "parent step changed",
    }


def test_a_record_that_was_pruned_is_told() -> None:
    machine = Machine()
    build(machine, ["make"])
    machine.cache.steps.clear()
    assert build(machine, ["make"]) == {"make": "its result is no longer in the store"}
    machine.cache.steps.clear()
    assert build(machine, ["make -j"]) == {"make -j": "the record of last time is gone"}


def test_files_whose_manifests_are_gone_are_told_in_general() -> None:
    machine = Machine(FakeOps())
    build(machine, files=manifest(A))
    machine.cache.manifests.clear()
    assert (
        build(machine, files=manifest(A._replace(mode=0o600)))["CopyOp"] == "copied files changed"
    )
