"""Repositories over http from loopback, among them hostile ones."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from buildkit.context.git import Git, Repository
from buildkit.errors import Cancelled, ContextError
from tests.trees import read_tree

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


class Backend(BaseHTTPRequestHandler):
    """Serves the repositories below `Server.root` by `git http-backend`."""

    server: "Server"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True
        )
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """One server a test."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Backend)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}"


def git(where: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", "-C", str(where), *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


class Origin:
    """A repository to be served: `main` with two commits, a tag on the first, a branch."""

    def __init__(self, top: Path) -> None:
        self.path = top / "r.git"
        self.path.mkdir(parents=True)
        git(self.path, "init", "-q", "-b", "main")
        git(self.path, "config", "http.uploadpackAllowAnySHA1InWant", "true")
        self.first = self.commit("one")
        git(self.path, "tag", "-a", "v1", "-m", "first")
        git(self.path, "branch", "side")
        self.second = self.commit("two")

    def commit(self, text: str) -> str:
        (self.path / "sub").mkdir(exist_ok=True)
        (self.path / "sub/file").write_text(text)
        (self.path / "run").write_text("#!/bin/sh\n")
        (self.path / "run").chmod(0o755)
        if not (self.path / "link").is_symlink():
            (self.path / "link").symlink_to("sub/file")
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "-m", text)
        return git(self.path, "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "served")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with Server(tmp_path / "served") as one:
        thread = threading.Thread(target=one.serve_forever, args=[0.01])
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def client(tmp_path: Path) -> Git:
    (tmp_path / "home").mkdir()
    return Git(str(tmp_path / "home"))


def named(server: Server, ref: str = "", **fields: object) -> Repository:
    plain = Repository(
        remote=f"{server.url}/r.git",
        ref=ref,
        subdir="",
        checksum="",
        keep_git_dir=False,
        submodules=True,
    )
    return plain._replace(**fields)  # type: ignore[arg-type]


def checked_out(client: Git, repository: Repository, tmp: Path) -> list[str]:
    (tmp / "out").mkdir()
    client.check_out(repository, client.resolve(repository), str(tmp / "out"))
    return read_tree(tmp / "out")


@pytest.mark.parametrize(
    ("ref", "commit"),
    [
        ("", "second"),
        ("main", "second"),
        ("v1", "first"),
        ("side", "first"),
        ("refs/heads/side", "first"),
        ("refs/tags/v1", "first"),
        ("heads/side", "first"),
    ],
)
def test_a_ref_names_a_commit(
    origin: Origin, server: Server, client: Git, ref: str, commit: str
) -> None:
    assert client.resolve(named(server, ref)) == getattr(origin, commit)


def test_a_commit_names_itself_and_nobody_is_asked(client: Git) -> None:
    asked = Repository("https://host.invalid/r.git", "a" * 40, "", "", False, True)
    assert client.resolve(asked) == "a" * 40


def test_files_come_with_plain_modes_and_without_the_repository(
    origin: Origin, server: Server, client: Git, tmp_path: Path
) -> None:
    os.umask(0o077)
    try:
        found = checked_out(client, named(server), tmp_path)
    finally:
        os.umask(0o022)
    me = f"{os.geteuid()}:{os.getegid()}"
    assert found == [
        f"link link -> sub/file {me}",
        f"file run 0755 {me} text=b'#!/bin/sh\\n'",
        f"dir sub 0755 {me}",
        f"file sub/file 0644 {me} text=two",
    ]


def test_an_older_commit_can_be_had(
    origin: Origin, server: Server, client: Git, tmp_path: Path
) -> None:
    checked_out(client, named(server, origin.first), tmp_path)
    assert (tmp_path / "out/sub/file").read_text() == "one"


def test_a_server_that_gives_no_single_commit_gives_all(
    origin: Origin, server: Server, client: Git, tmp_path: Path
) -> None:
    git(origin.path, "config", "http.uploadpackAllowAnySHA1InWant", "false")
    git(origin.path, "config", "protocol.version", "0")
    checked_out(client, named(server, origin.first), tmp_path)
    assert (tmp_path / "out/sub/file").read_text() == "one"


def test_a_subdirectory_is_taken_alone(
    origin: Origin, server: Server, client: Git, tmp_path: Path
) -> None:
    found = checked_out(client, named(server, subdir="/sub/"), tmp_path)
    assert [line.split()[1] for line in found] == ["file"]


@pytest.mark.parametrize("subdir", ["none", "run", "../../../../etc", "out"])
def test_a_subdirectory_stays_inside(
    origin: Origin, server: Server, client: Git, tmp_path: Path, subdir: str
) -> None:
    (origin.path / "out").symlink_to("/etc")
    git(origin.path, "add", "-A")
    git(origin.path, "commit", "-q", "-m", "link")
    with pytest.raises(ContextError, match="has no directory"):
        checked_out(client, named(server, subdir=subdir), tmp_path)


def test_the_repository_is_kept_on_request(
    origin: Origin, server: Server, client: Git, tmp_path: Path
) -> None:
    checked_out(client, named(server, keep_git_dir=True), tmp_path)
    assert git(tmp_path / "out", "rev-parse", "HEAD") == origin.second


def test_a_checksum_is_a_commit_or_its_beginning(
    origin: Origin, server: Server, client: Git
) -> None:
    assert client.resolve(named(server, checksum=origin.second[:7])) == origin.second
    with pytest.raises(ContextError, match=f"expected checksum to match {origin.first}, got"):
        client.resolve(named(server, checksum=origin.first))


def test_submodules_come_along_unless_they_are_unwanted(
    origin: Origin, server: Server, client: Git, tmp_path: Path
) -> None:
    git(origin.path, "submodule", "--quiet", "add", "-b", "side", "./.", "inner")
    git(origin.path, "config", "-f", ".gitmodules", "submodule.inner.url", f"{server.url}/r.git")
    git(origin.path, "add", "-A")
    git(origin.path, "commit", "-q", "-m", "module")
    checked_out(client, named(server), tmp_path)
    assert sorted(os.listdir(tmp_path / "out/inner")) == ["link", "run", "sub"]
    shutil.rmtree(tmp_path / "out")
    checked_out(client, named(server, submodules=False), tmp_path)
    assert os.listdir(tmp_path / "out/inner") == []


@pytest.mark.parametrize("url", ["/etc", "file:///etc", "ext::sh -c 'touch pwned'", "-u./pwn"])
def test_a_submodule_cannot_name_this_machine_or_a_program(
    origin: Origin, server: Server, client: Git, tmp_path: Path, url: str
) -> None:
    git(origin.path, "submodule", "--quiet", "add", "-b", "side", "./.", "inner")
    git(origin.path, "config", "-f", ".gitmodules", "submodule.inner.url", url)
    git(origin.path, "config", "-f", ".gitmodules", "submodule.inner.update", "!touch pwned")
    git(origin.path, "add", "-A")
    git(origin.path, "commit", "-q", "-m", "module")
    with pytest.raises(ContextError):
        checked_out(client, named(server), tmp_path)
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    "remote",
    [
        "git://host/r.git",
        "file:///etc",
        "/etc",
        "ext::sh -c true",
        "--upload-pack=touch pwned",
        "ssh://-oProxyCommand=touch/r.git",
        "git@-oProxyCommand=x:r.git",
        "https://host/a b",
    ],
)
def test_a_remote_that_is_no_plain_address_is_refused(client: Git, remote: str) -> None:
    with pytest.raises(ContextError):
        client.resolve(Repository(remote, "", "", "", False, True))


@pytest.mark.parametrize("ref", ["--upload-pack=x", "-x", "a..b", "a b", "a:b", "a^{}", "*"])
def test_a_ref_that_is_none_is_refused(client: Git, ref: str) -> None:
    with pytest.raises(ContextError, match="is no name of a ref"):
        client.resolve(Repository("https://host.invalid/r.git", ref, "", "", False, True))


def test_an_unknown_ref_is_named(origin: Origin, server: Server, client: Git) -> None:
    with pytest.raises(ContextError, match="does not contain ref none"):
        client.resolve(named(server, "none"))


@pytest.mark.parametrize("password", ["secret", "a@secret"])
def test_passwords_are_not_shown(client: Git, password: str) -> None:
    remote = f"http://me:{password}@127.0.0.1:1/r.git"
    with pytest.raises(ContextError) as caught:
        client.resolve(Repository(remote, "", "", "", False, True))
    assert "secret" not in caught.value.message


def test_hooks_and_configuration_of_the_user_are_not_used(
    origin: Origin, server: Server, client: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "config").write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    checked_out(client, named(server), tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_git_is_killed_when_the_build_is_stopped(tmp_path: Path) -> None:
    def check() -> None:
        raise Cancelled(2)

    with pytest.raises(Cancelled):
        Git(str(tmp_path), check=check).resolve(
            Repository("https://host.invalid/r.git", "", "", "", False, True)
        )
