"""Downloads, from a server on loopback that behaves well or badly as each test wants it."""

import base64
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import pytest

from buildkit.context import http
from buildkit.context.http import Download, download, secret_credentials
from buildkit.errors import Cancelled, ContextError, StoreError


class Handler(BaseHTTPRequestHandler):
    """Answers a path with what `Server.routes` has for it, and notes what was asked."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        self.server.routes[self.path.split("?")[0]](self)

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """One server a test."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    # Waiting between tries is tested for, not lived through.
    monkeypatch.setattr(http, "_sleep", lambda *_: None)
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, args=[0.01])
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def get(tmp: Path, url: str, **options: object) -> tuple[Download | None, bytes]:
    target = os.open(tmp / "body", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        found = download(url, target, **options)  # type: ignore[arg-type]
    finally:
        os.close(target)
    return found, (tmp / "body").read_bytes()


def test_a_body_comes_with_its_digest_and_time(server: Server, tmp_path: Path) -> None:
    server.routes["/a"] = lambda ask: ask.reply(
        200, b"hello" * 100_000, Last_Modified="Tue, 01 Jan 2030 00:00:00 GMT", ETag='"1"'
    )
    found, body = get(tmp_path, f"{server.url}/a")
    assert body == b"hello" * 100_000
    assert found is not None
    assert found.digest.hex == hashlib.sha256(body).hexdigest()
    assert (found.size, found.modified, found.etag) == (500_000, 1_893_456_000, '"1"')
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("text", ["", "yesterday", "Tue, 99 Jan 2030 00:00:00 GMT"])
def test_a_time_that_is_none_is_the_epoch(server: Server, tmp_path: Path, text: str) -> None:
    server.routes["/a"] = lambda ask: ask.reply(200, b"x", Last_Modified=text)
    found, _ = get(tmp_path, f"{server.url}/a")
    assert found is not None
    assert found.modified == 0


def test_what_has_not_changed_is_not_sent_again(server: Server, tmp_path: Path) -> None:
    def route(ask: Handler) -> None:
        if ask.headers["If-None-Match"] == '"1"':
            ask.send_response(304)
            ask.end_headers()
        else:
            ask.reply(200, b"new", ETag='"1"')

    server.routes["/a"] = route
    found, _ = get(tmp_path, f"{server.url}/a")
    assert found is not None
    assert get(tmp_path, f"{server.url}/a", known=found)[0] is None
    again, body = get(tmp_path, f"{server.url}/a", known=found._replace(etag='"0"'))
    assert (again, body) == (found, b"new")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("/v1", "/v1", True),
        ("/v1", "/v2", False),
        ("/v1?file=1", "/v1?file=2", False),
        # What signs a URL is another one each time.
        ("/v1?f=1&sig=a&se=2030", "/v1?f=1&sig=b&se=2031", True),
        ("/v1?X-Amz-Signature=a&X-Amz-Date=1", "/v1?X-Amz-Signature=b&X-Amz-Date=2", True),
        ("/v1?X-Amz-Signature=a&versionId=1", "/v1?X-Amz-Signature=a&versionId=2", False),
        ("/v1?sv=1", "/v1?sv=2", False),
    ],
)
def test_an_etag_counts_for_the_url_only_that_gave_it(
    server: Server, tmp_path: Path, first: str, second: str, same: bool
) -> None:
    def route(ask: Handler) -> None:
        if ask.headers["If-None-Match"] == '"1"':
            ask.send_response(304)
            ask.end_headers()
        else:
            ask.reply(200, ask.path.encode(), ETag='"1"')

    server.routes |= {"/v1": route, "/v2": route}
    server.routes["/latest"] = lambda ask: ask.reply(302, Location=first)
    found, _ = get(tmp_path, f"{server.url}/latest")
    server.routes["/latest"] = lambda ask: ask.reply(302, Location=second)
    again, body = get(tmp_path, f"{server.url}/latest", known=found)
    assert (again is None) == same
    assert body == (b"" if same else second.encode())


@pytest.mark.parametrize("etag", ["", '"1"'])
def test_that_nothing_has_changed_is_no_answer_to_who_did_not_ask(
    server: Server, tmp_path: Path, etag: str
) -> None:
    server.routes["/a"] = lambda ask: ask.reply(200, b"body", ETag=etag)
    server.routes["/b"] = lambda ask: ask.reply(304)
    found, _ = get(tmp_path, f"{server.url}/a")
    for known in (None, found):
        with pytest.raises(ContextError, match="invalid response status 304"):
            get(tmp_path, f"{server.url}/b", known=known)


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.routes["/a"] = lambda ask: ask.reply(302, Location="b/c?d=e")
    server.routes["/b/c"] = lambda ask: ask.reply(307, Location=f"{server.url}/end")
    server.routes["/end"] = lambda ask: ask.reply(200, b"end")
    assert get(tmp_path, f"{server.url}/a")[1] == b"end"
    assert [path for path, _ in server.asked] == ["/a", "/b/c?d=e", "/end"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "file is neither http nor https"),
        ("ftp://host/a", "ftp is neither http nor https"),
        ("data:,x", "data is neither http nor https"),
        ("/a", "redirected more than 10 times"),
        ("http://host:99999/", "out of range"),
    ],
)
def test_a_bad_redirect_is_refused(
    server: Server, tmp_path: Path, location: str, message: str
) -> None:
    server.routes["/a"] = lambda ask: ask.reply(302, Location=location)
    with pytest.raises(ContextError, match=message):
        get(tmp_path, f"{server.url}/a")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "/etc/passwd", "http:///x", "http://a b/"]
)
def test_only_http_is_spoken(tmp_path: Path, url: str) -> None:
    with pytest.raises(ContextError, match="failed to load"):
        get(tmp_path, url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416])
def test_an_error_page_is_an_error_at_once(server: Server, tmp_path: Path, status: int) -> None:
    server.routes["/a"] = lambda ask: ask.reply(status, b"sorry")
    with pytest.raises(ContextError, match=f"invalid response status {status}"):
        get(tmp_path, f"{server.url}/a")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    def route(ask: Handler) -> None:
        if len(server.asked) < 3:
            ask.reply(status, b"busy", Retry_After="1")
        else:
            ask.reply(200, b"fine")

    server.routes["/a"] = route
    assert get(tmp_path, f"{server.url}/a")[1] == b"fine"


def test_tries_have_an_end(server: Server, tmp_path: Path) -> None:
    server.routes["/a"] = lambda ask: ask.reply(503)
    with pytest.raises(ContextError, match="invalid response status 503"):
        get(tmp_path, f"{server.url}/a")
    assert len(server.asked) == 5


def test_a_server_says_how_long_to_wait_within_limits(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http, "_sleep", lambda seconds, _check: waits.append(seconds))
    answers = iter(["7", "99999", "soon", "-1"])
    server.routes["/a"] = lambda ask: ask.reply(429, Retry_After=next(answers, "0"))
    with pytest.raises(ContextError):
        get(tmp_path, f"{server.url}/a")
    assert waits[:2] == [7, 60]
    assert all(0 < wait < 10 for wait in waits[2:])


def test_a_short_body_is_noticed_and_fetched_again(server: Server, tmp_path: Path) -> None:
    def route(ask: Handler) -> None:
        if len(server.asked) == 1:
            ask.reply(200, b"half", Content_Length="8")
            ask.close_connection = True
        else:
            ask.reply(200, b"halfhalf")

    server.routes["/a"] = route
    assert get(tmp_path, f"{server.url}/a")[1] == b"halfhalf"


def test_a_body_that_stays_short_is_an_error(server: Server, tmp_path: Path) -> None:
    def route(ask: Handler) -> None:
        ask.reply(200, b"half", Content_Length="8")
        ask.close_connection = True

    server.routes["/a"] = route
    with pytest.raises(ContextError, match="ends after 4 of 8 bytes"):
        get(tmp_path, f"{server.url}/a")


def test_a_chunked_body_that_breaks_off_is_an_error(server: Server, tmp_path: Path) -> None:
    def route(ask: Handler) -> None:
        ask.send_response(200)
        ask.send_header("Transfer-Encoding", "chunked")
        ask.end_headers()
        ask.wfile.write(b"4\r\nhalf\r\n4\r\nha")
        ask.close_connection = True

    server.routes["/a"] = route
    with pytest.raises(ContextError, match="failed to load"):
        get(tmp_path, f"{server.url}/a")


def test_nobody_listening_is_an_error(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ContextError, match=r"/a: connection refused, \d times"):
        get(tmp_path, "http://127.0.0.1:1/a")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the name of the host cannot be"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
    ids=str,
)
def test_a_fault_is_told_in_words(
    error: Exception,
    message: str,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(ContextError) as raised:
        get(tmp_path, f"{server.url}/a")
    assert raised.value.message.startswith(f"failed to load {server.url}/a: {message}")


def test_a_server_without_tls_is_told_as_that(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ContextError, match=r"no TLS: [a-z ]+, \d times"):
        get(tmp_path, f"{server.url.replace('http:', 'https:')}/a")


def test_credentials_go_to_their_host_only(server: Server, tmp_path: Path) -> None:
    with Server() as other:
        thread = threading.Thread(target=other.serve_forever, args=[0.01])
        thread.start()
        other.routes["/b"] = lambda ask: ask.reply(200, b"b")
        server.routes["/a"] = lambda ask: ask.reply(302, Location=f"{other.url}/b")
        host = f"127.0.0.1:{server.server_port}"
        secrets = secret_credentials({f"HTTP_AUTH_TOKEN_{host}": b"letmein\n"})
        get(tmp_path, f"{server.url}/a", credentials=secrets)
        with_user = server.url.replace("//", "//me:p%40ss@")
        get(tmp_path, f"{with_user}/a")
        other.shutdown()
        thread.join()
    basic = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert [headers["Authorization"] for _, headers in server.asked] == ["Bearer letmein", basic]
    assert all("Authorization" not in headers for _, headers in other.asked)


def test_a_whole_header_can_be_a_secret() -> None:
    secrets = {"HTTP_AUTH_HEADER_h": b"Basic abc", "HTTP_AUTH_TOKEN_h": b"t"}
    credentials = secret_credentials(secrets)
    assert credentials("h") == credentials("h:80") == "Basic abc"
    assert credentials("g") == ""


def test_passwords_in_urls_are_not_shown(server: Server, tmp_path: Path) -> None:
    server.routes["/a"] = lambda ask: ask.reply(404)
    with pytest.raises(ContextError) as caught:
        get(tmp_path, server.url.replace("//", "//me:secret@") + "/a")
    assert "secret" not in caught.value.message


def test_names_beyond_ascii_are_asked_for_in_percent(server: Server, tmp_path: Path) -> None:
    server.routes["/%C3%A9"] = lambda ask: ask.reply(200, b"e")
    assert get(tmp_path, f"{server.url}/\u00e9")[1] == b"e"


def test_a_proxy_is_used_where_the_environment_names_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.routes["http://elsewhere.invalid/a"] = lambda ask: ask.reply(200, b"by proxy")
    assert get(tmp_path, "http://elsewhere.invalid/a")[1] == b"by proxy"


def test_a_download_can_be_stopped(server: Server, tmp_path: Path) -> None:
    server.routes["/a"] = lambda ask: ask.reply(503)

    def check() -> None:
        if server.asked:
            raise Cancelled(2)

    with pytest.raises(Cancelled):
        get(tmp_path, f"{server.url}/a", check=check)


def test_a_full_disk_is_not_the_servers_fault(server: Server) -> None:
    server.routes["/a"] = lambda ask: ask.reply(200, b"x" * 100_000)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(StoreError, match="No space left"):
            download(f"{server.url}/a", full)
    finally:
        os.close(full)
