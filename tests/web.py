"""A web server on loopback for end-to-end tests: the files of a directory, asked for by anybody."""

import functools
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Web(ThreadingHTTPServer):
    """Serves `root`. Paths below `closed/` are for those only who say one of `accepted`."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(root)))
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.accepted: set[str] = set()
        self.asked: list[str] = []


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Web)
        self.server.asked.append(self.path)
        said = self.headers.get("Authorization", "")
        if self.path.startswith("/closed/") and said not in self.server.accepted:
            self.send_error(403)
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(root: Path) -> Iterator[Web]:
    """Give a server for the time of a block."""
    with Web(root) as web:
        thread = threading.Thread(target=web.serve_forever, args=[0.01])
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join()


def commit(repository: Path, message: str = "one") -> str:
    """Commit all that is in `repository`, made where there is none; return the commit."""
    if not (repository / ".git").exists():
        _git(repository, "init", "--quiet", "--initial-branch=main")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", message)
    # So that a server of files will do.
    _git(repository, "update-server-info")
    return _git(repository, "rev-parse", "HEAD").strip()


def branch(repository: Path, name: str, start: str = "HEAD") -> None:
    """Go to the branch `name`, made anew at `start`."""
    _git(repository, "checkout", "--quiet", "-B", name, start)


def _git(where: Path, *words: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e", "-c", "safe.directory=*")
    done = subprocess.run(
        ["git", "-C", where, *who, *words], check=True, capture_output=True, text=True
    )
    return done.stdout
