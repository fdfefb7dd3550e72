"""Sandboxes for tests, as root and as an ordinary user: each test that asks runs as both."""

import struct
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from runtime import errors, wire
from runtime.spec import ExitStatus, Mount, Process, RootFs, SandboxSpec
from tests.kernel import REPOSITORY, as_user, busybox, interpreter_for, ordinary_user, require
from tests.runtime.driver import TYPES

ENVIRONMENT = (("PATH", "/bin"),)


class Result(NamedTuple):
    """How a sandbox ended, what it wrote, and where its changes are."""

    status: ExitStatus
    output: str
    upper: str

    @property
    def code(self) -> int:
        return self.status.code

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class Sandboxes:
    """Starts sandboxes through a driver process."""

    def __init__(self, kind: str, identity: dict[str, Any] | None = None) -> None:
        """`identity`: the arguments of `subprocess` in place of those that make it the user's."""
        self.kind = kind
        user = ordinary_user() if kind == "rootless" else None
        python = interpreter_for(user)
        assert python is not None
        self._driver = subprocess.Popen(
            [python, "-B", str(REPOSITORY / "tests/runtime/driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **(identity or as_user(user)),  # type: ignore[call-overload]
        )
        path = busybox()
        assert path is not None
        self.root: str = self.call("root", path)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the driver; its sandbox errors are raised here."""
        request = wire.dumps((name, arguments))
        self._driver.stdin.write(struct.pack("I", len(request)) + request)
        self._driver.stdin.flush()
        length = struct.unpack("I", self._driver.stdout.read(4))[0]
        answer = wire.loads(self._driver.stdout.read(length), TYPES)
        if answer[0] == "value":
            return answer[1]
        _word, kind, message, hint = answer
        if kind == "Exception":
            raise RuntimeError(message)
        error = errors.SandboxError.__new__(getattr(errors, kind))
        error.args, error.message, error.hint = (message,), message, hint
        raise error

    def spec(
        self,
        *args: str,
        env: tuple[tuple[str, str], ...] = ENVIRONMENT,
        lowers: tuple[str, ...] = (),
        mounts: tuple[Mount, ...] = (),
        process: dict[str, Any] | None = None,
        **fields: Any,
    ) -> SandboxSpec:
        """Return a spec on the busybox root, with an upper directory of its own."""
        base = self.call("new")
        for name in ("upper", "work"):
            self.call("mkdir", f"{base}/{name}")
        root = RootFs((*lowers, self.root), f"{base}/upper", f"{base}/work")
        program = Process(args, env=env, **(process or {}))
        return SandboxSpec(**{"root": root, "process": program, "mounts": mounts, **fields})

    def run(
        self,
        spec: SandboxSpec,
        *,
        timeout: float | None = 60,
        stdin: str | None = None,
    ) -> Result:
        """Run a sandbox to its end."""
        status, output = self.call("run", spec, timeout, stdin)
        upper = spec.root.upper if isinstance(spec.root, RootFs) else None
        return Result(status, output, upper or "")

    def sh(self, script: str, **fields: Any) -> Result:
        """Run a shell script inside."""
        return self.run(self.spec("sh", "-c", script, **fields))

    def close(self) -> None:
        self._driver.stdin.close()
        self._driver.stdout.close()
        assert self._driver.wait(60) == 0


def _started(kind: str) -> Iterator[Sandboxes]:
    require(kind)
    require("overlay")
    require("busybox")
    sandboxes = Sandboxes(kind)
    yield sandboxes
    sandboxes.close()


@pytest.fixture(scope="session")
def as_root() -> Iterator[Sandboxes]:
    """Sandboxes started by the machine's root."""
    yield from _started("root")


@pytest.fixture(scope="session")
def as_rootless() -> Iterator[Sandboxes]:
    """Sandboxes started by an ordinary user."""
    yield from _started("rootless")


@pytest.fixture(params=["root", "rootless"])
def sandboxes(request: pytest.FixtureRequest) -> Sandboxes:
    """Sandboxes, once started by root and once by an ordinary user."""
    started: Sandboxes = request.getfixturevalue(f"as_{request.param}")
    return started
