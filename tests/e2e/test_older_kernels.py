"""Kernels before Linux 6.7, whose overlays are mounted in another way, and before 6.15, which copy
no mount from one that is attached nowhere.

A process with the personality UNAME26 is told that the kernel is an older one. Source:
personality(2).
"""

import shutil

import pytest

from tests.callers import Caller
from tests.program import Pybuild

DOCKERFILE = """
FROM busybox AS first
RUN mkdir /d && echo x > /d/f && echo y > /d/g
FROM busybox
RUN --mount=from=first,source=/d,target=/m,rw rm /m/f && ls /m && touch /new
RUN --mount=from=first,source=/d,target=/m test "$(ls /m)" = "$(printf 'f\\ng')"
RUN --mount=from=first,source=/d/g,target=/file,rw echo z > /file && grep z /file
RUN --mount=from=first,target=/all grep y /all/d/g
COPY --from=first /d /e
RUN rm /e/f
"""
NONE = ("--network", "none")


@pytest.fixture
def older(anybody: Caller) -> Pybuild:
    """Give pybuild, told of an older kernel."""
    if shutil.which("setarch") is None:
        pytest.skip("this machine has no setarch")
    base = anybody.pybuild
    words = ("setarch", "--uname-2.6", *base.words)
    return Pybuild(base.root, base.cwd, words=words, identity=base.identity)


def test_images_are_built_and_run(anybody: Caller, older: Pybuild) -> None:
    assert "Linux 2.6." in older("doctor").output
    older.build(anybody.context(DOCKERFILE), name="older").ok()
    shown = "cat /e/g; ls -d /e/f /new; touch /own"
    done = older("run", "--name", "box", *NONE, "older", "sh", "-c", shown)
    assert done.output == "y\n/new\n"
    assert "A /own" in older("diff", "box").ok().output
    older("cp", "box:/e/g", anybody.place() / "g").ok()
    older("commit", "box", "committed").ok()
    options = ("--rm", "--read-only", *NONE)
    assert older("run", *options, "committed", "ls", "/own").ok().output == "/own\n"
    older("rm", "box").ok()
