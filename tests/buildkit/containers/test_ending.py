"""Ending containers."""

import shutil
import threading
from pathlib import Path

from buildkit.containers.ending import wait
from buildkit.containers.record import Record
from buildkit.containers.store import Container
from runtime import control
from runtime.control import Done, Wait


def test_a_container_that_goes_at_its_end_leaves_its_exit_code_to_who_waits(tmp_path: Path) -> None:
    directory = tmp_path / "box"
    directory.mkdir()
    listening = control.listen(str(directory))
    listening.setblocking(True)

    def end() -> None:
        connection = control.accept(listening)
        assert connection is not None
        received = connection.receive()
        assert received is not None
        assert received[0] == Wait()
        shutil.rmtree(directory)
        connection.send(Done(3))
        connection.close()

    monitor = threading.Thread(target=end)
    monitor.start()
    record = Record("0" * 64, "box", "", "", "", (), ())
    assert wait(Container(str(directory), record)) == 3
    monitor.join()
    listening.close()
