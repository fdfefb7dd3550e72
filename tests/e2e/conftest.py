"""Callers for end-to-end tests, made once a session: each test that asks runs as root and not."""

from collections.abc import Iterator

import pytest

from tests.callers import Caller, calling


@pytest.fixture(scope="session")
def as_root() -> Iterator[Caller]:
    """The machine's root."""
    with calling("root") as caller:
        yield caller


@pytest.fixture(scope="session")
def as_rootless() -> Iterator[Caller]:
    """An ordinary user with subordinate ids."""
    with calling("rootless") as caller:
        yield caller


@pytest.fixture(scope="session")
def as_single() -> Iterator[Caller]:
    """An ordinary user without subordinate ids."""
    with calling("single") as caller:
        yield caller


@pytest.fixture(params=["root", "rootless"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """Root, then an ordinary user."""
    found = request.getfixturevalue(f"as_{request.param}")
    assert isinstance(found, Caller)
    return found


@pytest.fixture(params=["root", "rootless", "single"])
def anybody(request: pytest.FixtureRequest) -> Caller:
    """Root, an ordinary user, and one without subordinate ids."""
    found = request.getfixturevalue(f"as_{request.param}")
    assert isinstance(found, Caller)
    return found
