import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from buildkit.state.lease import collect_stale, in_use, stale
from buildkit.state.root import StateRoot
from tests.kernel import REPOSITORY

HOLDER = """
import sys
sys.path.insert(0, sys.argv[2])
from buildkit.state.root import StateRoot
root = StateRoot.open(sys.argv[1])
root.use("layer", "sha256:held")
open(root.tmp() + "/half", "w").close()
print("ready", flush=True)
sys.stdin.read()
"""


def held(root: Path) -> subprocess.Popen[bytes]:
    """Start another command that holds a lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root), str(REPOSITORY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_what_a_command_uses_is_seen_by_others_until_it_ends(tmp_path: Path) -> None:
    StateRoot.open(str(tmp_path)).close()
    with held(tmp_path) as process:
        assert ("layer", "sha256:held") in in_use(str(tmp_path))
        assert collect_stale(str(tmp_path)) == 0
        process.communicate(b"")
    assert len(os.listdir(tmp_path / "tmp")) == 1
    assert collect_stale(str(tmp_path)) == 1
    assert in_use(str(tmp_path)) == set()


def test_the_leftovers_of_a_killed_command_go_with_the_next_one(tmp_path: Path) -> None:
    StateRoot.open(str(tmp_path)).close()
    with held(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(stale(str(tmp_path))) == 1
    with StateRoot.open(str(tmp_path)) as root:
        root.use("blob", "x")
        assert os.listdir(tmp_path / "tmp") == []
        assert len(os.listdir(tmp_path / "leases")) == 1


def test_a_directory_without_a_lease_is_nobodys(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        (tmp_path / "tmp" / "junk").mkdir()
        (tmp_path / "tmp" / "junk" / "file").touch()
        _ = root.lease
        assert os.listdir(tmp_path / "tmp") == []


def test_a_mark_waits_for_a_collection_and_not_for_its_own(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root, StateRoot.open(str(tmp_path)) as other:
        lease = other.lease
        waiter = threading.Thread(target=lambda: lease.use("layer", ["later"]))
        with root.lease.collecting():
            root.use("layer", "mine")
            waiter.start()
            assert ("layer", "later") not in in_use(root.top)
            assert ("layer", "mine") in in_use(root.top)
        waiter.join(30)
        assert ("layer", "later") in in_use(root.top)
