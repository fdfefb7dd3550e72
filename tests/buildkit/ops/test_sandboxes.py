"""The zygote of a build: started early, and gone with the build in any case."""

import os
from pathlib import Path

from buildkit.ops.sandboxes import Sandboxes


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
