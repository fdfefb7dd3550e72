"""Agents of a build, and the socket that a step gets."""

import os
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from buildkit.errors import StepError, UsageError
from buildkit.ops.ssh import Agents, forwarded, parse_ssh

needs_agent = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="needs ssh-agent")

LIST_KEYS, SIGN, REMOVE_ALL, LOCK, EXTENSION = 11, 13, 19, 22, 27
REFUSED = b"\0\0\0\1\5"


def message(kind: int, body: bytes = b"") -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body


class Agent:
    """Answers each message with `answer` of it, and notes what was asked."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.asked: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(1 << 20):
                    self.asked.append(data)
                    connection.sendall(message(12, data))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    found = Agent(tmp_path / "agent")
    yield found
    found.close()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    path = tmp_path / "own"
    path.mkdir()
    return str(path)


def connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made


def forward(agent: str, folder: str, mode: int = 0o600) -> AbstractContextManager[str]:
    return forwarded(agent, folder, mode=mode, uid=os.getuid(), gid=os.getgid())


@pytest.mark.parametrize("kind", [LIST_KEYS, SIGN])
def test_a_step_may_list_keys_and_sign(agent: Agent, folder: str, kind: int) -> None:
    with forward(agent.path, folder) as path, connected(path) as client:
        for body in (b"", b"key"):
            client.sendall(message(kind, body))
            assert client.recv(1 << 16) == message(12, message(kind, body))
    assert agent.asked == [message(kind), message(kind, b"key")]


@pytest.mark.parametrize("kind", [REMOVE_ALL, LOCK, EXTENSION, 17, 1, 255])
def test_and_nothing_else(agent: Agent, folder: str, kind: int) -> None:
    with forward(agent.path, folder) as path, connected(path) as client:
        client.sendall(message(kind, b"body"))
        assert client.recv(1 << 16) == REFUSED
        client.sendall(message(LIST_KEYS))
        assert client.recv(1 << 16)
    assert agent.asked == [message(LIST_KEYS)]


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0"], ids=["too long", "too short"])
def test_what_is_no_message_ends_the_connection(agent: Agent, folder: str, data: bytes) -> None:
    with forward(agent.path, folder) as path, connected(path) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1 << 16) == b""
    assert agent.asked == []


def test_a_message_may_come_in_pieces_and_several_at_once(agent: Agent, folder: str) -> None:
    with forward(agent.path, folder) as path, connected(path) as client:
        whole = message(SIGN, bytes(3000))
        client.sendall(whole[:2])
        client.sendall(whole[2:7])
        client.sendall(whole[7:] + message(REMOVE_ALL))
        expected = message(12, whole) + REFUSED
        found = b""
        while len(found) < len(expected):
            found += client.recv(1 << 16)
        assert found == expected


def test_the_socket_is_as_it_was_asked_for_and_gone_after_the_block(
    agent: Agent, folder: str
) -> None:
    with forward(agent.path, folder, 0o640) as path:
        found = os.stat(path)
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o640
        waiting = connected(path)
        waiting.sendall(b"\0")
    assert waiting.recv(1) == b""
    waiting.close()
    with pytest.raises(ConnectionRefusedError):
        connected(path)


def test_a_directory_with_a_long_name_does(agent: Agent, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with forward(agent.path, str(deep)):
        assert os.listdir(deep) == ["socket"]


def test_an_agent_that_has_gone_ends_the_connection(folder: str, tmp_path: Path) -> None:
    with forward(str(tmp_path / "gone"), folder) as path, connected(path) as client:
        assert client.recv(1) == b""


def test_ssh_names_a_socket_or_keys(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("k1", "k2"):
        (tmp_path / name).touch()
    monkeypatch.setenv("SSH_AUTH_SOCK", agent.path)
    assert parse_ssh("default") == ("default", (agent.path,))
    assert parse_ssh("x=agent") == ("x", (agent.path,))
    assert parse_ssh("x=k1,k2") == ("x", (str(tmp_path / "k1"), str(tmp_path / "k2")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid --ssh ''"),
        ("=x", "invalid --ssh '=x'"),
        ("x=", "invalid --ssh 'x='"),
        ("x=/none", "--ssh x=/none: /none: no such file or directory"),
        ("x=agent,k1", "names a socket and more"),
        ("default", "no agent is running: SSH_AUTH_SOCK is not set"),
    ],
)
def test_what_cannot_be_is_refused(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "k1").touch()
    with pytest.raises(UsageError) as raised:
        parse_ssh(text)
    assert words in raised.value.message


@pytest.fixture
def aside(tmp_path: Path) -> Callable[[], str]:
    numbers = iter(range(100))

    def make() -> str:
        path = tmp_path / f"aside{next(numbers)}"
        path.mkdir(mode=0o700)
        return str(path)

    return make


def test_an_agent_of_the_users_is_used_as_it_is(agent: Agent, aside: Callable[[], str]) -> None:
    agents = Agents({"default": (agent.path,)}, aside)
    assert agents.socket() == agent.path
    assert agents.socket("other") == ""
    agents.close()


def make_key(path: Path, passphrase: str = "") -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path.with_suffix(".pub").read_text().split()[1]


@needs_agent
def test_keys_get_an_agent_of_their_own_that_ends_with_the_build(
    tmp_path: Path, aside: Callable[[], str]
) -> None:
    keys = [make_key(tmp_path / name) for name in ("k1", "k2")]
    agents = Agents({"x": (str(tmp_path / "k1"), str(tmp_path / "k2"))}, aside)
    path = agents.socket("x")
    assert agents.socket("x") == path
    listed = subprocess.run(
        ["ssh-add", "-L"], env={**os.environ, "SSH_AUTH_SOCK": path}, capture_output=True, text=True
    )
    assert [line.split()[1] for line in listed.stdout.splitlines()] == keys
    agents.close()
    agents.close()
    with pytest.raises(OSError):
        connected(path)


@needs_agent
@pytest.mark.parametrize("kind", ["passphrase", "no key"])
def test_a_key_that_no_agent_takes_is_told(
    tmp_path: Path, aside: Callable[[], str], kind: str
) -> None:
    if kind == "passphrase":
        make_key(tmp_path / "k", "secret")
    else:
        (tmp_path / "k").write_text("x")
        (tmp_path / "k").chmod(0o600)
    agents = Agents({"x": (str(tmp_path / "k"),)}, aside)
    with pytest.raises(StepError, match="ssh x: the agent does not take the key"):
        agents.socket("x")
    agents.close()


def test_without_the_program_keys_are_of_no_use(
    tmp_path: Path, aside: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    agents = Agents({"x": (str(tmp_path / "k"),)}, aside)
    with pytest.raises(StepError, match="ssh-agent is not installed"):
        agents.socket("x")
    agents.close()


@needs_agent
def test_an_agent_without_its_other_program_ends(
    tmp_path: Path, aside: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k").touch()
    (tmp_path / "bin").mkdir()
    for program in ("ssh-agent", "sh", "cat"):
        found = shutil.which(program)
        assert found is not None
        (tmp_path / "bin" / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    folder = aside()
    agents = Agents({"x": (str(tmp_path / "k"),)}, lambda: folder)
    with pytest.raises(StepError, match="ssh x: ssh-add: no such file or directory"):
        agents.socket("x")
    with pytest.raises(OSError):
        connected(f"{folder}/agent")
