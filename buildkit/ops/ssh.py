"""SSH agents for steps and repositories: the user's own, or one that holds given keys.

In: what `--ssh` says. Out: sockets of agents, and for a RUN a socket of its own, which passes on
the wish to list keys and the wish to sign, and no other. Keys stay with the agent: no step and no
file of the state root gets to see one. Source: docs/dockerfile.md, 10.5; ssh-agent(1);
draft-ietf-sshm-ssh-agent.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from buildkit.errors import StepError, UsageError
from runtime import owners
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

DEFAULT = "default"

_LIST_KEYS = 11
_SIGN = 13
_REFUSAL = b"\0\0\0\1\5"
_LONGEST = 256 << 10
_TAIL = 500


def parse_ssh(text: str) -> tuple[str, tuple[str, ...]]:
    """Parse `--ssh ID[=SOCKET|KEY[,KEY...]]`: the ID and absolute paths. Raises UsageError."""
    name, equals, rest = text.partition("=")
    if not name or (equals and not rest):
        raise UsageError(f"invalid --ssh {text!r}", hint="the form is ID=SOCKET or ID=KEYFILE")
    paths = tuple(os.path.abspath(path) for path in rest.split(",") if path)
    if not paths:
        agent = os.environ.get("SSH_AUTH_SOCK", "")
        if not agent:
            raise UsageError(
                f"--ssh {text}: no agent is running: SSH_AUTH_SOCK is not set",
                hint=f"start one, or give a key: --ssh {name}=KEYFILE",
            )
        paths = (agent,)
    try:
        sockets = sum(_is_socket(path) for path in paths)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"--ssh {text}: {error.filename}: {reason}") from error
    if sockets and len(paths) > 1:
        raise UsageError(f"--ssh {text} names a socket and more", hint="give one socket, or keys")
    return name, paths


def _is_socket(path: str) -> bool:
    return stat.S_ISSOCK(os.stat(path).st_mode)


class _Started(NamedTuple):
    """An agent of ours. It ends when `keeper`, whose standard input we hold, does."""

    path: str
    pid: int
    keeper: subprocess.Popen[bytes]


class Agents:
    """The agents of one build, by ID; those for keys are started when first asked for.

    Any thread may use it. `aside` makes a new private directory. `close` it when the build is over.
    """

    def __init__(self, known: Mapping[str, tuple[str, ...]], aside: Callable[[], str]) -> None:
        self._known = known
        self._aside = aside
        self._started: dict[str, _Started] = {}
        self._lock = threading.Lock()

    def socket(self, name: str = DEFAULT) -> str:
        """Return the path of the agent's socket, empty when none was given. Raises StepError."""
        paths = self._known.get(name)
        if not paths:
            return ""
        with self._lock:
            started = self._started.get(name)
            if started is not None:
                return started.path
            try:
                if _is_socket(paths[0]):
                    return paths[0]
            except OSError as error:
                raise StepError(f"ssh {name}: {paths[0]}: {error.strerror}") from error
            started = self._started[name] = _start(name, self._aside(), paths)
            return started.path

    def close(self) -> None:
        """End the agents that were started. May be called twice."""
        for started in self._started.values():
            _end(started)
        self._started.clear()


def _start(name: str, folder: str, keys: tuple[str, ...]) -> _Started:
    """Start an agent that holds `keys`; should we die, it does so, too, within ten seconds."""
    import subprocess  # for keys only: 6 ms

    # A name relative to the directory, for that of a socket may have 107 bytes and no more.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "SSH_AUTH_SOCK": "agent",
        "SSH_ASKPASS": "/bin/false",
        "SSH_ASKPASS_REQUIRE": "force",
    }
    try:
        keeper = subprocess.Popen(
            ["ssh-agent", "-a", "agent", "sh", "-c", "echo $SSH_AGENT_PID; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise StepError(
            "ssh-agent is not installed",
            hint="--ssh with a key needs it, with a socket it does not",
        ) from None
    assert keeper.stdout is not None
    line = keeper.stdout.readline().strip()
    if not line.isdigit():
        _, said = keeper.communicate()
        raise StepError(f"ssh {name}: ssh-agent failed: {said.decode(errors='replace')[-_TAIL:]}")
    started = _Started(os.path.join(folder, "agent"), int(line), keeper)
    try:
        added = subprocess.run(
            ["ssh-add", "-q", *keys],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=folder,
            env=environment,
            check=False,
            start_new_session=True,
        )
    except OSError as error:
        _end(started)
        raise StepError(
            f"ssh {name}: ssh-add: {(error.strerror or '').lower()}",
            hint="ssh-add comes with ssh-agent, and puts the key into it",
        ) from None
    if added.returncode:
        _end(started)
        reason = added.stderr.decode(errors="replace").strip()[-_TAIL:]
        raise StepError(
            f"ssh {name}: the agent does not take the key: {reason}",
            hint="a key with a passphrase has to be in an agent: ssh-add, then --ssh default",
        )
    return started


def _end(started: _Started) -> None:
    """End an agent; it is gone when this returns."""
    started.keeper.communicate()
    with suppress(ProcessLookupError):
        agent = os.pidfd_open(started.pid)
        try:
            os.kill(started.pid, signal.SIGKILL)
            gone = select.poll()
            gone.register(agent, select.POLLIN)
            gone.poll()
        finally:
            os.close(agent)


@contextmanager
def forwarded(agent: str, folder: str, *, mode: int, uid: int, gid: int) -> Iterator[str]:
    """Give the path of a socket in the empty directory `folder` that leads to `agent`.

    It is there for the time of the block. Raises OSError.
    """
    with ExitStack() as stack:
        directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, directory)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        # The name of a socket has at most 107 bytes, that of the directory may have more.
        listener.bind(f"/proc/self/fd/{directory}/socket")
        path = os.path.join(folder, "socket")
        owners.give(path, uid, gid)
        os.chmod(path, mode)
        listener.listen()
        relay = _Relay(agent, listener)
        stack.callback(relay.close)
        yield path


class _Relay:
    """Serves a listener, a thread for each connection and one for new ones."""

    def __init__(self, agent: str, listener: socket.socket) -> None:
        self._agent = agent
        self._listener = listener
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name="ssh", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections and end those that are open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # that to the agent may not be connected yet
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:  # before its thread runs, for `close` may come first
                self._open.add(client)
            threading.Thread(target=self._serve, args=[client], name="ssh", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Pass requests on until one side has enough."""
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            with self._lock:
                self._open.add(agent)
            try:
                _connect(agent, self._agent)
                while (request := _message(client)) is not None:
                    if request[4:5] and request[4] in (_LIST_KEYS, _SIGN):
                        agent.sendall(request)
                        answer = _message(agent)
                        if answer is None:
                            return
                    else:
                        answer = _REFUSAL
                    client.sendall(answer)
            except OSError:
                return
            finally:
                with self._lock:
                    self._open -= {client, agent}


def _connect(agent: socket.socket, path: str) -> None:
    folder, name = os.path.split(path)
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        agent.connect(f"/proc/self/fd/{directory}/{name}")
    finally:
        os.close(directory)


def _message(source: socket.socket) -> bytes | None:
    """Return one message with its length before it; None at the end, or when it is too long."""
    head = _exactly(source, 4)
    size = int.from_bytes(head, "big")
    if len(head) < 4 or size > _LONGEST:
        return None
    body = _exactly(source, size)
    return head + body if len(body) == size else None


def _exactly(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := source.recv(size - len(data))):
        data += part
    return bytes(data)
