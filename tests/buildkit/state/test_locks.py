import fcntl
import os
import threading
from pathlib import Path

from buildkit.state.locks import exclusive, key_lock
from buildkit.state.root import StateRoot


def test_equal_work_is_done_one_after_the_other(tmp_path: Path) -> None:
    inside = []
    with StateRoot.open(str(tmp_path)) as root:

        def work() -> None:
            for _ in range(50):
                with key_lock(root, "ab12"):
                    inside.append(1)
                    assert len(inside) == 1
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert os.listdir(root.path("locks")) == []


def test_a_lock_can_be_taken_again_after_its_holder(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        for _ in range(2):
            with exclusive(root, "layers"):
                pass


def test_a_descriptor_that_a_child_has_inherited_does_not_keep_the_lock(tmp_path: Path) -> None:
    with StateRoot.open(str(tmp_path)) as root:
        path = root.path("locks", "layers.lock")
        with exclusive(root, "layers"):
            names = [
                fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
            ]
            (own,) = [fd for fd in names if os.path.realpath(f"/proc/self/fd/{fd}") == path]
            inherited = os.dup(int(own))
        other = os.open(path, os.O_RDWR)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        os.close(inherited)
