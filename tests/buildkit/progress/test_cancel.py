import select
import signal

import pytest

from buildkit.errors import Cancelled
from buildkit.progress.cancel import Cancel


def test_it_is_seen_by_flag_by_wait_and_by_poll() -> None:
    with Cancel() as cancel:
        assert not cancel.is_set()
        assert not cancel.wait(0)
        cancel.check()
        assert select.select([cancel], [], [], 0)[0] == []
        cancel.set(signal.SIGTERM)
        assert cancel.is_set()
        assert cancel.wait(60)
        assert select.select([cancel], [], [], 60)[0] == [cancel]
        with pytest.raises(Cancelled) as caught:
            cancel.check()
        assert caught.value.signal == signal.SIGTERM


def test_the_first_signal_counts_also_after_a_failure() -> None:
    with Cancel() as cancel:
        cancel.set()
        assert cancel.signal == 0
        cancel.set(signal.SIGINT)
        cancel.set(signal.SIGTERM)
        assert cancel.signal == signal.SIGINT


def test_closed_it_goes_on_telling_the_truth() -> None:
    cancel = Cancel()
    cancel.close()
    cancel.close()
    cancel.set(signal.SIGINT)
    assert cancel.is_set()
    assert cancel.wait(60)
