"""What holds for all tests.

How long hypothesis tries: `pytest --hypothesis-profile=long -k fuzz`, a quarter of an hour.
"""

import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
settings.register_profile(
    "long", max_examples=15_000, deadline=None, suppress_health_check=list(HealthCheck)
)

# Whoever starts the tests in the background (nohup, a shell's `&`) has these ignored, and what is
# started by tests would ignore them in turn, as it should: then nothing could be interrupted.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

_LONG = (
    "tests/e2e/test_two_stages.py",
    "tests/e2e/test_base.py",
    "tests/e2e/test_shared_caches.py",
    "tests/e2e/test_crashes.py",
    "tests/e2e/",
    "tests/contract/",
    "tests/grammar/",
)
"""Where the files are that take long, those that take longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep to our order, where xdist would begin with the files that have most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is alone with it at the end."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    found = (rank for rank, place in enumerate(_LONG) if item.nodeid.startswith(place))
    return next(found, len(_LONG))
