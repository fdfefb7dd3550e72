"""Registries that run, and a client that is as impatient as a test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.registry.client import Access, Registry
from buildkit.registry.limits import Limits
from tests.registry import Registry as Server
from tests.registry import running

QUICK = Limits(
    connect=5, stall=0.5, header=0.5, commit=5, window=0.3, floor=64, tries=4, total=20, delay=0.001
)

Open = Callable[..., Registry]


@pytest.fixture
def server() -> Iterator[Server]:
    """A registry."""
    with running() as found:
        yield found


@pytest.fixture
def other() -> Iterator[Server]:
    """Another one, at another port."""
    with running() as found:
        yield found


@pytest.fixture
def cancel() -> Iterator[Cancel]:
    """The user's wish to stop."""
    with Cancel() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's home, where nothing is."""
    found = tmp_path / "home"
    found.mkdir()
    return found


@pytest.fixture
def client(cancel: Cancel, home: Path) -> Iterator[Open]:
    """Makes clients; variables of the environment are given by name."""
    opened: list[Registry] = []

    def make(access: Access | None = None, limits: Limits = QUICK, **environment: str) -> Registry:
        found = Registry(
            cancel,
            (access or Access())._replace(limits=limits),
            {"HOME": str(home), "PATH": "", **environment},
        )
        opened.append(found)
        return found

    yield make
    for one in opened:
        one.close()


def named(server: Server, tag: str = "1", repository: str = "app") -> Reference:
    """Return the name of an image of `server`."""
    return Reference.parse(f"{server.host}/{repository}:{tag}")
