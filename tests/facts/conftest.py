"""Facts are tried in a mount namespace of their own, so that no failure leaves a mount."""

import os

import pytest

from runtime import rootless


@pytest.fixture(scope="session", autouse=True)
def _own_mounts() -> None:
    if os.geteuid() == 0:
        rootless.enter()
