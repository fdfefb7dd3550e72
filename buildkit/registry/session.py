"""Requests to one registry: identity, redirects, tries.

In: an endpoint, requests below its `/v2/`. Out: answers with a status that was hoped for, or one
clear error. Redirects are followed by hand: http(s) only, few, never from TLS to none, and what
proves the user's identity stays with the registry's own host and port (guarantees S21, S22).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import urljoin, urlsplit

from buildkit.registry.answers import Wanted, error_of
from buildkit.registry.auth import Authorizer
from buildkit.registry.challenge import parse_challenges
from buildkit.registry.credential_helper import Credentials
from buildkit.registry.credentials import CredentialSource
from buildkit.registry.errors import RegistryError, UnreachableError
from buildkit.registry.hosts import Endpoint, Hosts, Trust, host_and_port
from buildkit.registry.limits import MAX_ANSWER
from buildkit.registry.proxies import is_loopback
from buildkit.registry.retry import retrying
from buildkit.registry.transport import Answer, Request, Transport
from runtime.values import NamedTuple

_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TO_TLS = "http request to an https server"


class Call(NamedTuple):
    """One request: `target` is a path below the registry or a URL, `what` says it in words.

    `scope` is what a token must be good for. `body` opens the body anew for each try.
    """

    method: str
    target: str
    what: str
    scope: str
    repository: str
    expected: frozenset[int]
    headers: tuple[tuple[str, str], ...] = ()
    body: Callable[[], Iterator[bytes]] | None = None
    size: int = 0


class Session:
    """Speaks to one registry. Any thread may use it."""

    def __init__(
        self,
        endpoint: Endpoint,
        hosts: Hosts,
        transport: Transport,
        source: CredentialSource,
        *,
        given: Credentials | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self._hosts = hosts
        self._scheme: Literal["http", "https"] | None = None
        if endpoint.scheme != "either":
            self._scheme = endpoint.scheme
        self._settling = threading.Lock()
        self._authorizer = Authorizer(endpoint.name, source, self._ask_service, given=given)

    def call(self, call: Call) -> Answer:
        """Make a request until it succeeds or that is hopeless. `close` the answer.

        Raises RegistryError, Cancelled.
        """
        return retrying(lambda: self.once(call), self.transport.limits, self.transport.watch)

    def fetch(self, call: Call, limit: int, what: str) -> tuple[Answer, bytes]:
        """Make a request in the same way, and return the whole of a small body with its answer."""

        def work() -> tuple[Answer, bytes]:
            answer = self.once(call)
            return answer, answer.whole(limit, what)

        return retrying(work, self.transport.limits, self.transport.watch)

    def once(self, call: Call) -> Answer:
        """Make a request once (twice, if the registry wants to know who asks)."""
        base = self._base()
        url = urljoin(base, call.target)
        own = _origin(url) == _origin(base)
        proof = self._authorizer.header(call.scope, call.repository) if own else ""
        answer = self._follow(call, url, proof)
        if answer.status == 401 and own:
            with _closing(answer):
                challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
                again = self._authorizer.answer(
                    challenges, call.scope, call.repository, proof, tls=base.startswith("https:")
                )
            if again:
                answer.finish()
                answer = self._follow(call, url, again)
        if answer.status in call.expected:
            return answer
        with _closing(answer):
            anybody = self._authorizer.is_anybody(call.repository)
        raise error_of(answer, Wanted(call.what, self.endpoint.name, anybody))

    def resolve(self, location: str, call: Call) -> str:
        """Return the URL that a Location header means. Raises RegistryError for an unsafe one."""
        base = urljoin(self._base(), call.target)
        return self._checked(location, base)

    def _follow(self, call: Call, url: str, proof: str) -> Answer:
        """Send, and go where redirects lead; without `proof` once that is another origin."""
        first = _origin(url)
        for _ in range(_HOPS + 1):
            if _origin(url) != first:
                proof = ""  # for good, also if the way leads back
            headers = call.headers
            if proof:
                headers = (*headers, ("Authorization", proof))
            body = None if call.body is None else call.body()
            request = Request(call.method, url, headers, body, call.size)
            answer = self.transport.exchange(request, self._trust(url), self._name(url))
            location = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or call.method not in ("GET", "HEAD"):
                return answer
            answer.finish()
            if not location:
                raise RegistryError(f"{self._name(url)} redirects {call.what} to nowhere")
            url = self._checked(location, url)
        raise RegistryError(f"{self.endpoint.name} redirects {call.what} more than {_HOPS} times")

    def _checked(self, location: str, base: str) -> str:
        """Return the absolute URL of `location`, without TLS only where that is allowed."""
        try:
            url = urljoin(base, location)
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise RegistryError(f"{self._name(base)} gives an impossible address") from None
        shown = f"{parts.scheme}://{host}"
        if parts.scheme not in ("http", "https") or not host or parts.username is not None:
            raise RegistryError(f"{self._name(base)} leads to {shown}, which is no place for blobs")
        if not url.isascii() or any(char <= " " for char in url):
            raise RegistryError(f"{self._name(base)} gives an impossible address")
        if parts.scheme == "http" and _origin(url) != _origin(self._base()):
            if base.startswith("https:"):
                raise RegistryError(f"{self._name(base)} leads from TLS to {shown} without")
            if not is_loopback(host) and self._hosts.endpoint(_netloc(url)).scheme == "https":
                raise RegistryError(
                    f"{self._name(base)} leads to {shown}, which is not marked insecure"
                )
        elif parts.scheme == "http" and base.startswith("https:"):
            raise RegistryError(f"{self._name(base)} leads from TLS to {shown} without")
        return url

    def _ask_service(self, request: Request) -> bytes:
        """Ask a token service, which is the registry's own affair."""
        parts = urlsplit(request.url)
        where = f"the token service of {self.endpoint.name} ({parts.hostname})"
        body = b"" if request.body is None else b"".join(request.body)

        def ask() -> bytes:
            fresh = request._replace(body=iter((body,)) if body else None)
            answer = self.transport.exchange(fresh, self._trust(request.url), where)
            if answer.status != 200:
                raise error_of(
                    answer, Wanted("a token", self.endpoint.name, anybody=not (request.headers))
                )
            return answer.whole(MAX_ANSWER, "a token")

        return retrying(ask, self.transport.limits, self.transport.watch)

    def _trust(self, url: str) -> Trust:
        if self._is_own(url):
            return self.endpoint.trust
        return self._hosts.endpoint(_netloc(url)).trust

    def _name(self, url: str) -> str:
        """Return what errors call the host of `url`."""
        return self.endpoint.name if self._is_own(url) else _netloc(url)

    def _is_own(self, url: str) -> bool:
        """Say whether `url` is at the registry's host and port."""
        own = _origin(f"{urlsplit(url).scheme}://{self.endpoint.host}/")
        return _origin(url) == own

    def _base(self) -> str:
        with self._settling:
            if self._scheme is None:
                self._scheme = self._settled()
            return f"{self._scheme}://{self.endpoint.host}/v2/"

    def _settled(self) -> Literal["http", "https"]:
        """Find out what the host speaks. No credentials are sent for that."""
        order: tuple[Literal["http", "https"], ...] = ("https", "http")
        if is_loopback(host_and_port(self.endpoint.host)[0]):
            order = ("http", "https")
        failures: list[UnreachableError] = []
        for scheme in order:
            request = Request("GET", f"{scheme}://{self.endpoint.host}/v2/")
            try:
                answer = self.transport.exchange(request, self.endpoint.trust, self.endpoint.name)
            except UnreachableError as error:
                failures.append(error)
                continue
            try:
                data = answer.whole(MAX_ANSWER, "its greeting")
            except RegistryError:
                data = b""
            if (
                scheme == "http"
                and answer.status == 400
                and _TO_TLS in data[:200].decode("latin-1").lower()
            ):
                continue
            return scheme
        if not failures:
            raise UnreachableError(f"{self.endpoint.name} speaks neither HTTP nor HTTPS")
        raise min(failures, key=lambda error: (error.foreign, error.never, error.temporary))


@contextlib.contextmanager
def _closing(answer: Answer) -> Iterator[None]:
    """Close `answer` when the block fails."""
    try:
        yield
    except BaseException:
        answer.close()
        raise


def _origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials are bound to."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def _netloc(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
