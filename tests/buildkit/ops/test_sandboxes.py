"""The zygote of a build: started early, and gone with the build in any case."""

import errno
import os
from pathlib import Path

import pytest

from buildkit.ops.sandboxes import Sandboxes
from runtime import host
from runtime.spec import Process, RootFs, SandboxSpec


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_a_zygote_that_nobody_came_to_use_ends_with_the_build() -> None:
    before, descriptors = _children(), os.listdir("/proc/self/fd")
    sandboxes = Sandboxes()
    sandboxes.prepare()
    sandboxes.prepare()
    assert len(_children() - before) == 1
    sandboxes.close()
    assert _children() == before
    assert os.listdir("/proc/self/fd") == descriptors
    assert not sandboxes.connected
    sandboxes.prepare()  # a step that comes too late
    assert _children() == before


def test_a_zygote_that_cannot_be_taken_over_is_closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise OSError(errno.EMFILE, "too many open files")

    before, descriptors = _children(), os.listdir("/proc/self/fd")
    monkeypatch.setattr(host, "here", refused)
    sandboxes = Sandboxes()
    sandboxes.prepare()
    with pytest.raises(OSError, match="too many open files"):
        sandboxes.begin(SandboxSpec(RootFs(("/",)), Process(("true",))), stdout=1)
    sandboxes.close()
    assert _children() == before
    assert os.listdir("/proc/self/fd") == descriptors
