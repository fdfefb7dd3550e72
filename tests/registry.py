"""A small registry on loopback that speaks the distribution spec, and misbehaves when told to.

In: what it holds, and faults. Out: a server in a thread, and what it was asked. A fault is a
function that answers one request in its own way; each is for requests that match and happens a
number of times. Nothing here sleeps: what is slow waits for the other side to go away. The faults
are in tests/registry_faults.py.
"""

import contextlib
import hashlib
import json
import re
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

Act: TypeAlias = "Callable[[Exchange], None]"


def digest_of(data: bytes) -> str:
    """Return the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Asked(NamedTuple):
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


class Fault:
    """Answers requests whose `METHOD path` matches `pattern` by `act`, so many `times`."""

    def __init__(self, pattern: str, act: Act, times: int = 1_000_000) -> None:
        self.pattern = re.compile(pattern)
        self.act = act
        self.left = times


class Registry:
    """What the registry holds and does. `close` it, or use `running`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.repositories: dict[str, set[str]] = {}
        self.uploads: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.allow: Callable[[Exchange], bool] | None = None
        self.challenge = ""
        self.token: Callable[[Exchange], None] | None = None
        self.chunk_limit = 0
        self.gone = threading.Event()
        registry = self

        class Handler(Exchange):
            owner = registry

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(0.02), daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop."""
        self.gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault(self, pattern: str, act: Act, times: int = 1_000_000) -> None:
        """Misbehave."""
        self.faults.append(Fault(pattern, act, times))

    def lines(self) -> list[str]:
        """Return what was asked, as `METHOD path`."""
        return [asked.line for asked in self.asked]

    def blob(self, data: bytes, repository: str = "app") -> str:
        """Hold a blob."""
        digest = digest_of(data)
        self.blobs[digest] = data
        self.repositories.setdefault(repository, set()).add(digest)
        return digest

    def manifest(
        self, data: bytes, tag: str = "1", media_type: str = MANIFEST, repository: str = "app"
    ) -> str:
        """Hold a manifest under its digest and a tag."""
        for name in (tag, digest_of(data)):
            self.manifests[repository, name] = (media_type, data)
        return digest_of(data)

    def image(
        self,
        *layers: bytes,
        tag: str = "1",
        repository: str = "app",
        diff_ids: tuple[str, ...] | None = None,
        platform: tuple[str, str] = ("linux", "amd64"),
    ) -> str:
        """Hold an image whose layers are these uncompressed tars; return its manifest's digest."""
        ids = tuple(map(digest_of, layers)) if diff_ids is None else diff_ids
        config = document(
            {
                "os": platform[0],
                "architecture": platform[1],
                "config": {"Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": list(ids)},
            }
        )
        return self.manifest(
            document(
                {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": described(CONFIG, self.blob(config, repository), len(config)),
                    "layers": [
                        described(LAYER, self.blob(layer, repository), len(layer))
                        for layer in layers
                    ],
                }
            ),
            tag,
            repository=repository,
        )


def document(value: Any) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


def described(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """Return a descriptor."""
    return {"mediaType": media_type, "digest": digest, "size": size}


@contextlib.contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """Give a registry that runs."""
    registry = Registry(tls)
    try:
        yield registry
    finally:
        registry.close()


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer."""

    owner: Registry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _any(self) -> None:
        registry = self.owner
        registry.asked.append(Asked(self.command, self.path, dict(self.headers.items())))
        for fault in registry.faults:
            if fault.left > 0 and fault.pattern.search(f"{self.command} {self.path}"):
                fault.left -= 1
                fault.act(self)
                return
        if self.path.startswith("/token") and registry.token is not None:
            registry.token(self)
        elif registry.allow is not None and not registry.allow(self):
            self.body()
            self.answer(401, {"WWW-Authenticate": registry.challenge}, b'{"errors":[]}')
        else:
            self.well()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - what http.server calls

    def body(self) -> bytes:
        """Return the body of the request."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(
        self, status: int, headers: Mapping[str, str] | None = None, data: bytes = b""
    ) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def error(self, status: int, code: str, message: str = "") -> None:
        """Answer with an error of the distribution spec."""
        self.answer(status, data=document({"errors": [{"code": code, "message": message}]}))

    def reset(self) -> None:
        """Break the connection so that the other side sees a reset."""
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def wait_until_gone(self) -> None:
        """Wait until the other side, or the test, has had enough."""
        self.connection.settimeout(60)
        with contextlib.suppress(OSError):
            while not self.owner.gone.is_set() and self.connection.recv(1 << 16):
                pass
        self.close_connection = True

    def well(self) -> None:
        """Behave."""
        url = urlsplit(self.path)
        if url.path in ("/v2", "/v2/"):
            self.body()
            self.answer(200, data=b"{}")
            return
        for pattern, act in (
            (r"/v2/(.+)/manifests/(.+)", self._manifest),
            (r"/v2/(.+)/blobs/(sha256:.+)", self._blob),
            (r"/v2/(.+)/blobs/uploads/(.*)", self._upload),
            (r"/v2/(.+)/tags/(list)", self._tags),
        ):
            match = re.fullmatch(pattern, url.path)
            if match:
                act(match[1], match[2], {k: v[0] for k, v in parse_qs(url.query).items()})
                return
        self.error(404, "UNSUPPORTED")

    def _manifest(self, repository: str, name: str, _query: Mapping[str, str]) -> None:
        registry = self.owner
        if self.command == "PUT":
            data = self.body()
            missing = [
                item["digest"]
                for item in (json.loads(data).get("layers") or [])
                if item["digest"] not in registry.repositories.get(repository, set())
            ]
            if missing:
                self.error(404, "MANIFEST_BLOB_UNKNOWN")
                return
            kind = self.headers.get("Content-Type", "")
            registry.manifest(data, name, kind, repository)
            self.answer(201, {"Docker-Content-Digest": digest_of(data)})
            return
        found = registry.manifests.get((repository, name))
        if found is None:
            self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        elif self.command == "DELETE":
            del registry.manifests[repository, name]
            self.answer(202)
        else:
            headers = {"Content-Type": found[0], "Docker-Content-Digest": digest_of(found[1])}
            self.answer(200, headers, found[1])

    def _blob(self, repository: str, digest: str, _query: Mapping[str, str]) -> None:
        registry = self.owner
        if digest not in registry.repositories.get(repository, set()):
            self.error(404, "BLOB_UNKNOWN")
            return
        data = registry.blobs[digest]
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if span and int(span[1]) < len(data):
            start = int(span[1])
            part = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.answer(206, {"Content-Range": part}, data[start:])
        else:
            self.answer(200, {"Docker-Content-Digest": digest}, data)

    def _upload(self, repository: str, name: str, query: Mapping[str, str]) -> None:
        registry = self.owner
        if self.command == "POST":
            self.body()
            known = registry.repositories.get(query.get("from", ""), set())
            if query.get("mount") in known:
                registry.repositories.setdefault(repository, set()).add(query["mount"])
                self.answer(201, {"Location": f"/v2/{repository}/blobs/{query['mount']}"})
                return
            name = f"upload-{len(registry.uploads)}"
            registry.uploads[name] = b""
        elif name not in registry.uploads:
            self.body()
            self.error(404, "BLOB_UPLOAD_UNKNOWN")
            return
        elif self.command in ("PATCH", "PUT"):
            if not self._take(name):
                return
            if self.command == "PUT":
                self._finish(repository, name, query)
                return
        held = len(registry.uploads[name])
        status = 204 if self.command == "GET" else 202
        location = f"/v2/{repository}/blobs/uploads/{name}?state={held}"
        self.answer(status, {"Location": location, "Range": f"0-{max(held - 1, 0)}"})

    def _take(self, name: str) -> bool:
        """Take the bytes of a request; False when it was refused."""
        registry = self.owner
        size = int(self.headers.get("Content-Length") or 0)
        if registry.chunk_limit and size > registry.chunk_limit:
            self.error(413, "SIZE_INVALID", "too large")
            self.close_connection = True
            return False
        data = self.body()
        start = re.match(r"(\d+)-", self.headers.get("Content-Range", ""))
        if start and int(start[1]) != len(registry.uploads[name]):
            self.error(416, "BLOB_UPLOAD_INVALID")
            return False
        registry.uploads[name] += data
        return True

    def _finish(self, repository: str, name: str, query: Mapping[str, str]) -> None:
        registry = self.owner
        data = registry.uploads.pop(name)
        if digest_of(data) != query.get("digest"):
            self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            return
        registry.uploads[name + "-done"] = b""
        self.answer(201, {"Location": f"/v2/{repository}/blobs/{registry.blob(data, repository)}"})

    def _tags(self, repository: str, _name: str, query: Mapping[str, str]) -> None:
        found = sorted(
            name for where, name in self.owner.manifests if where == repository and ":" not in name
        )
        rest = [name for name in found if name > query.get("last", "")]
        page = rest[: min(int(query.get("n", "100")), 2)]
        headers = {}
        if len(page) < len(rest):
            headers["Link"] = f'</v2/{repository}/tags/list?n=2&last={page[-1]}>; rel="next"'
        self.answer(200, headers, document({"name": repository, "tags": page}))
