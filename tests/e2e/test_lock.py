"""`pybuild lock` and `build --locked`: repositories and downloads that move on."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buildkit.context.test_git import Origin, Server
from tests.callers import Caller

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="this machine has no git")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_repository_is_held_to_its_commit(
    as_root: Caller, server: Server, tmp_path: Path
) -> None:
    origin = Origin(tmp_path)
    address = f"{server.url}/r.git"
    pybuild = as_root.fresh()
    context = as_root.context(f"FROM busybox\nADD {address}#main:sub /sub\n")
    told = pybuild("lock", context).ok().output
    assert f"{address}#main {origin.second}\n" in told
    locked = pybuild.build(context, "--locked")
    locked.ok()

    third = origin.commit("three")
    assert pybuild.run("test", "cat", "/sub/file").ok().output == "two"
    assert pybuild("plan", "--locked", context).status == 0
    pybuild.build(context, "--locked", "--no-cache").ok()
    assert pybuild.run("test", "cat", "/sub/file").ok().output == "two"
    pybuild.build(context).ok()
    assert pybuild.run("test", "cat", "/sub/file").ok().output == "three"
    told = pybuild("lock", context).ok().output
    assert f"{address}#main {third} (was {origin.second})\n" in told
    assert pybuild("lock", context).ok().output.endswith("Dockerfile.lock is as it was\n")


def test_a_source_that_is_not_in_the_lock_file_is_refused(
    as_root: Caller, server: Server, tmp_path: Path
) -> None:
    Origin(tmp_path)
    pybuild = as_root.fresh()
    context = as_root.context("FROM busybox\n")
    pybuild("lock", context).ok()
    text = f"FROM busybox\nADD {server.url}/r.git#main /r\n"
    (context / "Dockerfile").write_text(text, encoding="utf-8")
    done = pybuild.build(context, "--locked")
    assert done.status == 2
    assert "r.git#main is not in" in done.errors
    assert "Dockerfile:2" in done.errors
