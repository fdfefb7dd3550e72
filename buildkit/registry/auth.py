"""What a registry is told about who asks: nothing, a password, or a token got for it.

In: challenges of one registry, the user's credentials for that very registry. Out: the value of
`Authorization`. A password goes to the registry (Basic) or to the token service that the registry
itself names (Bearer), and to nobody else; never from TLS to a service without (guarantee S22).
Source: distribution's "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from buildkit.registry.challenge import Challenge
from buildkit.registry.credential_helper import Credentials
from buildkit.registry.credentials import CredentialSource
from buildkit.registry.errors import RegistryError
from buildkit.registry.transport import Request
from runtime.values import NamedTuple

_LIFE = 60.0
_MARGIN = 5.0
_CLIENT = "pybuild"
_SAFE = re.compile(r"[\x21-\x7e]+")


class Service(NamedTuple):
    """A token service: where it is and what it calls the registry."""

    realm: str
    service: str


class _Token(NamedTuple):
    value: str
    until: float

    def __repr__(self) -> str:
        return "_Token(...)"


class Authorizer:
    """Proves who asks to one registry. Any thread may use it."""

    def __init__(
        self,
        name: str,
        source: CredentialSource,
        ask: Callable[[Request], bytes],
        *,
        given: Credentials | None = None,
    ) -> None:
        self._name = name
        self._source = source
        self._ask = ask
        self._given = given
        self._found: dict[str, Credentials | None] = {}
        self._basic = False
        self._service: Service | None = None
        self._tokens: dict[str, _Token] = {}
        self._mutex = threading.Lock()

    def header(self, scope: str, repository: str) -> str:
        """Return what to send unasked, from what earlier answers taught; empty for nothing."""
        with self._mutex:
            token = self._tokens.get(scope)
            if token is not None and time.monotonic() < token.until:
                return f"Bearer {token.value}"
            if self._basic:
                credentials = self._credentials(repository)
                return "" if credentials is None else f"Basic {credentials.basic}"
        return ""

    def answer(
        self, challenges: Sequence[Challenge], scope: str, repository: str, sent: str, *, tls: bool
    ) -> str:
        """Return what to send after a 401, empty when there is nothing (new) to show.

        `sent` was refused. `tls`: the registry was asked by TLS. Raises RegistryError.
        """
        with self._mutex:
            token = self._tokens.get(scope)
            if token is not None and sent and f"Bearer {token.value}" != sent:
                return f"Bearer {token.value}"  # another thread was here first
            for challenge in challenges:
                if challenge.scheme == "bearer":
                    return self._bearer(challenge, scope, repository, tls=tls)
                if challenge.scheme == "basic":
                    return self._as_basic(repository, sent)
        return ""

    def is_anybody(self, repository: str) -> bool:
        """Say whether the user has no credentials here."""
        with self._mutex:
            return self._credentials(repository) is None

    def _credentials(self, repository: str) -> Credentials | None:
        if self._given is not None:
            return self._given
        if repository not in self._found:
            self._found[repository] = self._source.find(self._name, repository)
        return self._found[repository]

    def _as_basic(self, repository: str, sent: str) -> str:
        credentials = self._credentials(repository)
        if credentials is None or not credentials.username:
            return ""
        self._basic = True
        header = f"Basic {credentials.basic}"
        return "" if sent == header else header

    def _bearer(self, challenge: Challenge, scope: str, repository: str, *, tls: bool) -> str:
        credentials = self._credentials(repository)
        if credentials is not None and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        service = _service(challenge, self._name, tls=tls)
        wanted = challenge.parameters.get("scope", "") or scope
        scopes = list(dict.fromkeys(f"{scope} {wanted}".split()))
        request = _token_request(service, scopes, credentials)
        token = self._parsed(self._ask(request), service)
        self._tokens[scope] = token
        return f"Bearer {token.value}"

    def _parsed(self, data: bytes, service: Service) -> _Token:
        where = f"the token service of {self._name}"
        try:
            document: Any = json.loads(data)
            value = document.get("token") or document.get("access_token")
            life = document.get("expires_in") or _LIFE
        except (ValueError, AttributeError, RecursionError):
            raise RegistryError(f"{where} ({_shown(service.realm)}) gives no JSON") from None
        if not isinstance(value, str) or not _SAFE.fullmatch(value):
            raise RegistryError(f"{where} ({_shown(service.realm)}) gives no token")
        if isinstance(life, bool) or not isinstance(life, int | float):
            life = _LIFE
        life = min(max(float(life), _LIFE), 3600.0)
        return _Token(value, time.monotonic() + life - _MARGIN)


def _service(challenge: Challenge, name: str, *, tls: bool) -> Service:
    """Return the service that a challenge names. Raises RegistryError for an unsafe one."""
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
    except ValueError:
        usable = False
    if not usable or not _SAFE.fullmatch(realm):
        raise RegistryError(f"{name} names an impossible token service: {_shown(realm)!r}")
    if tls and parts.scheme != "https":
        raise RegistryError(f"{name} names a token service without TLS: {_shown(realm)}")
    return Service(realm, challenge.parameters.get("service", ""))


def _token_request(
    service: Service, scopes: Sequence[str], credentials: Credentials | None
) -> Request:
    named = [("service", service.service)] if service.service else []
    if credentials is not None and credentials.identity_token:
        form = urlencode(
            [
                ("grant_type", "refresh_token"),
                *named,
                ("client_id", _CLIENT),
                ("scope", " ".join(scopes)),
                ("refresh_token", credentials.identity_token),
            ]
        ).encode()
        headers = (("Content-Type", "application/x-www-form-urlencoded"),)
        return Request("POST", service.realm, headers, iter((form,)), len(form))
    query = [*named, *(("scope", scope) for scope in scopes)]
    proof: tuple[tuple[str, str], ...] = ()
    if credentials is not None and credentials.username:
        query.append(("account", credentials.username))
        proof = (("Authorization", f"Basic {credentials.basic}"),)
    mark = "&" if "?" in service.realm else "?"
    return Request("GET", f"{service.realm}{mark}{urlencode(query)}", proof)


def _shown(realm: str) -> str:
    """Return a URL without what may be secret in it."""
    return realm.partition("?")[0].rpartition("@")[2][:200]
