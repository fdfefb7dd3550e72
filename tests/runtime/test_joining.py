"""Namespaces of others: what fails on the way closes what it had opened."""

import os
from pathlib import Path

import pytest

from runtime import container, joining
from runtime.container import Shared, State, Task
from runtime.errors import SandboxError
from runtime.spec import Process, RootFs, SandboxSpec
from tests.kernel import needs_root

OWN = "/proc/self/ns"


@needs_root
@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("/none", "no such file"),
        ("/etc/passwd", "it is no namespace"),
        (f"{OWN}/ipc", "it is one of another kind"),
    ],
)
def test_nothing_stays_open_after_a_failure(tmp_path: Path, where: str, said: str) -> None:
    lock = container.hold(str(tmp_path))
    container.write_state(str(tmp_path), State("running", pid=os.getpid()))
    task = Task(
        identity="",
        directory="",
        trash="",
        spec=SandboxSpec(RootFs(()), Process(())),
        shared=(
            Shared("cgroup", "path", f"{OWN}/cgroup"),
            Shared("ipc", "container", str(tmp_path)),
            Shared("uts", "path", where),
        ),
    )
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SandboxError, match=said):
        joining.joined(task, task.spec)
    assert os.listdir("/proc/self/fd") == before
    assert lock is not None
    os.close(lock)
