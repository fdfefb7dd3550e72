"""Processes that become programs."""

import os
import signal
import time

from runtime import process


def test_a_signal_before_the_program_ends_its_process_and_is_no_matter_of_ours() -> None:
    reading, writing = os.pipe()
    before = signal.signal(signal.SIGTERM, lambda *_: os.write(writing, b"handled"))
    try:
        pid = process.fork()
        if pid == 0:
            os.write(writing, b"forked ")
            time.sleep(20)
            os._exit(0)
        assert os.read(reading, 7) == b"forked "
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
        # Ours is still there.
        os.kill(os.getpid(), signal.SIGTERM)
        assert os.read(reading, 7) == b"handled"
    finally:
        signal.signal(signal.SIGTERM, before)
        os.close(reading)
        os.close(writing)
