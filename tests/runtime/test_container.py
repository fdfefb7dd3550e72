"""The state of a container as files, also when its monitor was killed."""

import os
import time
from pathlib import Path

import pytest

from runtime import container
from runtime.container import Check, HealthCheck, Port, Restart, State, Status, Task
from runtime.idmap import IdMap, Range
from runtime.spec import Bind, File, Process, RootFs, SandboxSpec
from tests.interruption import interrupted


def task(directory: Path) -> Task:
    spec = SandboxSpec(
        root=RootFs(("/layers/a", "/layers/b"), "/upper", "/work"),
        process=Process(("sh", "-c", "true"), env=(("A", "b"),)),
        ids=IdMap((Range(0, 1000, 1),), (Range(0, 1000, 1),)),
        mounts=(Bind("/data", "/mnt", readonly=False), File("/secret", b"\0\xff")),
    )
    return Task(
        identity="a" * 64,
        directory=str(directory),
        trash="/trash",
        spec=spec,
        names=("web", "aaaaaaaaaaaa"),
        ports=(Port(80, 8080, "127.0.0.1"),),
        restart=Restart("on-failure", 3),
        health=HealthCheck(("true",), interval=1.5),
    )


def test_a_task_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = task(tmp_path)
    container.write_task(written)
    assert container.read_task(str(tmp_path)) == written


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = State("exited", code=3, checks=(Check("t1", "t2", 1, "not yet"),))
    container.write_state(str(tmp_path), written)
    assert container.read_state(str(tmp_path)) == written


def test_fields_of_another_version_are_no_obstacle(tmp_path: Path) -> None:
    text = '{"type":"State","status":"exited","code":4,"of_tomorrow":true}'
    (tmp_path / "state.json").write_text(text)
    assert container.read_state(str(tmp_path)) == State("exited", code=4)


def test_what_has_no_state_yet_is_created(tmp_path: Path) -> None:
    assert container.read_state(str(tmp_path)) == State("created")


def test_a_container_that_is_gone_is_no_container(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        container.read_state(str(tmp_path / "gone"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type":"Nothing"}'])
def test_a_state_that_was_cut_off_is_the_end(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    if text != "[]":
        assert container.read_state(str(tmp_path)).status == "exited"


def test_a_container_whose_monitor_was_killed_has_ended(tmp_path: Path) -> None:
    container.write_state(str(tmp_path), State("running", pid=7))
    lock = container.hold(str(tmp_path))
    assert lock is not None
    assert container.read_state(str(tmp_path)).status == "running"
    os.close(lock)
    state = container.read_state(str(tmp_path))
    assert (state.status, state.code, state.pid) == ("exited", 137, 0)
    assert state.error == "its monitor was killed"


def test_a_container_has_one_monitor(tmp_path: Path) -> None:
    lock = container.hold(str(tmp_path))
    assert lock is not None
    assert container.hold(str(tmp_path)) is None
    assert not container.is_free(str(tmp_path))
    os.close(lock)
    assert container.is_free(str(tmp_path))


def test_an_interrupted_wait_for_the_lock_gives_it_back(tmp_path: Path) -> None:
    def work() -> None:
        lock = container.hold(str(tmp_path))
        assert lock is not None
        os.close(lock)

    times = 0
    for line in interrupted(work, container.__file__, "hold"):
        assert container.is_free(str(tmp_path)), f"line {line}"
        times += 1
    assert times > 3


@pytest.mark.parametrize(("status", "waits"), [("exited", True), ("running", False)])
def test_a_monitor_that_is_about_to_end_is_waited_for(
    tmp_path: Path, status: Status, *, waits: bool
) -> None:
    container.write_state(str(tmp_path), State(status))
    lock = container.hold(str(tmp_path))
    assert lock is not None
    reading, writing = os.pipe()
    monitor = os.fork()
    if monitor == 0:
        os.close(writing)
        os.read(reading, 1)  # until the other one has begun
        time.sleep(0.05)
        os._exit(0)
    os.close(lock)  # the child has the lock alone
    os.close(reading)
    if waits:
        os.close(writing)
    taken = container.hold(str(tmp_path))
    if not waits:
        os.close(writing)  # it was there all the time
    os.waitpid(monitor, 0)
    assert (taken is not None) == waits
    if taken is not None:
        os.close(taken)
