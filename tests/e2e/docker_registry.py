"""Debian's docker-registry on loopback, and what it was asked.

In: a directory for what it stores. Out: a running registry; each request it answered, in order, by
its access log.
"""

import http.client
import itertools
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
log: {{level: info}}
"""
_LOGINS = """
auth: {{htpasswd: {{realm: registry, path: {path}}}}}
"""
USER, PASSWORD = "joe", "secret"
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
"""The password by bcrypt, the only way that the registry knows."""
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
_ASKED = re.compile(r'"([A-Z]+) (/v2/\S*) HTTP/1\.1" (\d+)')


class DockerRegistry:
    """A registry that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._asked: list[tuple[str, str, int]] = []
        self._numbers = itertools.count()
        self._told = threading.Condition()
        self.port = self._listening()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def asked(self) -> list[tuple[str, str, int]]:
        """Return method, path and status of all that was asked since the last call."""
        marker = f"/v2/marker{next(self._numbers)}/tags/list"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", marker)
        connection.getresponse().read()
        connection.close()
        with self._told:
            # The log has requests in the order in which they were answered.
            assert self._told.wait_for(
                lambda: any(path == marker for _, path, _ in self._asked), timeout=30
            )
            found, self._asked = self._asked, []
        return [one for one in found if "/v2/marker" not in one[1]]

    def blobs_fetched(self) -> list[str]:
        """Return the digests of the blobs that were fetched since the last call."""
        return [
            path.rpartition("/")[2]
            for method, path, status in self.asked()
            if method == "GET" and "/blobs/" in path and status == 200
        ]

    def close(self) -> None:
        """Stop."""
        self._process.terminate()
        self._process.wait(timeout=30)
        self._reader.join()

    def _lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        return iter(self._process.stdout.readline, "")

    def _listening(self) -> int:
        for line in self._lines():
            match = _LISTENING.search(line)
            if match:
                return int(match[1])
        raise AssertionError("docker-registry did not start")

    def _read(self) -> None:
        for line in self._lines():
            match = _ASKED.search(line)
            if match:
                with self._told:
                    self._asked.append((match[1], match[2], int(match[3])))
                    self._told.notify_all()


@contextmanager
def docker_registry(directory: Path, *, logins: bool = False) -> Iterator[DockerRegistry]:
    """Give a registry that keeps its data below `directory`; `logins`: for USER alone."""
    directory.mkdir()
    config = directory / "config.yml"
    text = _CONFIG.format(directory=directory / "data")
    if logins:
        (directory / "htpasswd").write_text(_HTPASSWD)
        text += _LOGINS.format(path=directory / "htpasswd")
    config.write_text(text)
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        registry = DockerRegistry(process)
        try:
            yield registry
        finally:
            registry.close()
