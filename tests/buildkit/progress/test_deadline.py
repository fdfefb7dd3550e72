from buildkit.progress.cancel import Cancel
from buildkit.progress.deadline import deadline


def test_the_time_is_over() -> None:
    with Cancel() as cancel, deadline(cancel, 0.01) as inner:
        assert inner.wait(30)
        assert not cancel.is_set()


def test_a_signal_is_passed_on() -> None:
    with Cancel() as cancel, deadline(cancel, 3600) as inner:
        cancel.set(15)
        assert inner.wait(30)
        assert inner.signal == 15


def test_work_that_ends_in_time_is_left_alone() -> None:
    with Cancel() as cancel:
        with deadline(cancel, 3600) as inner:
            pass
        assert not inner.is_set()


def test_without_a_limit_there_is_nothing_to_watch() -> None:
    with Cancel() as cancel, deadline(cancel, 0) as inner:
        assert inner is cancel
