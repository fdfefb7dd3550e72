"""Callers for end-to-end tests, made once a session: each test that asks runs as root and not."""

from collections.abc import Iterator

import pytest

from tests.callers import Caller, calling
from tests.program import Pybuild


@pytest.fixture(scope="session")
def as_root() -> Iterator[Caller]:
    """The machine's root."""
    with calling("root") as caller:
        yield caller


@pytest.fixture(scope="session")
def debian(as_root: Caller) -> Pybuild:
    """Root's pybuild on a store that holds a Debian base, `debian-base`; takes a minute."""
    made = as_root.empty()
    done = made("base", "debian", "-t", "debian-base")
    if "is the network there?" in done.errors:
        pytest.skip("the mirrors of this machine are not to be reached")
    done.ok()
    return made


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
    """Root, then an ordinary user; `tests.callers.pairs` makes do with less."""
    found = request.getfixturevalue(f"as_{request.param}")
    assert isinstance(found, Caller)
    return found


@pytest.fixture(params=["root", "rootless", "single"])
def anybody(request: pytest.FixtureRequest) -> Caller:
    """Root, an ordinary user, and one without subordinate ids."""
    found = request.getfixturevalue(f"as_{request.param}")
    assert isinstance(found, Caller)
    return found
