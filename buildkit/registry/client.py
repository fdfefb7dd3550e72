"""The registry client: from references to repositories that can be read and written.

In: the user's configuration and credentials. Out: `Repository` values, in the order in which they
are to be asked. One client for one command; it keeps connections and tokens while it is open.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from buildkit.oci.reference import Reference
from buildkit.progress.cancel import Cancel
from buildkit.progress.events import Emit, Note
from buildkit.registry.config import load_hosts
from buildkit.registry.credential_helper import Credentials, Waiting
from buildkit.registry.credentials import CredentialFiles, CredentialSource
from buildkit.registry.hosts import Endpoint, Hosts, Place
from buildkit.registry.limits import MAX_ANSWER, Limits
from buildkit.registry.repository import Repository
from buildkit.registry.session import Call, Session
from buildkit.registry.transport import Transport
from buildkit.registry.watch import Watch
from runtime.values import NamedTuple


class Access(NamedTuple):
    """How registries are to be used by one command.

    `authfile`: the only file of credentials, empty for the usual ones. `given`: credentials of
    the command line, for every registry that it names. `verify`: None as configured.
    """

    authfile: str = ""
    given: Credentials | None = None
    verify: bool | None = None
    limits: Limits = Limits()


class Registry:
    """All registries. Any thread may use it. A context manager; close it before `cancel`."""

    def __init__(
        self,
        cancel: Cancel,
        access: Access | None = None,
        environment: Mapping[str, str] | None = None,
        emit: Emit | None = None,
    ) -> None:
        """`emit`: is told what is waited for; without, standard error is."""
        found = os.environ if environment is None else environment
        self._access = access or Access()
        self._hosts = load_hosts(found)
        self._watch = Watch(cancel)
        waiting = Waiting(check=self.check)
        if emit is not None:
            waiting = waiting._replace(tell=lambda message: emit(Note(message)))
        self._source: CredentialSource = CredentialFiles(found, self._access.authfile, waiting)
        self._transport = Transport(self._watch, self._access.limits, found)
        self._sessions: dict[Endpoint, Session] = {}
        self._mutex = threading.Lock()

    def sources(self, reference: Reference) -> tuple[Repository, ...]:
        """Return where `reference` can be pulled from, mirrors first."""
        hosts = self._hosts_for(reference.domain)
        return tuple(self._repository(place, hosts) for place in hosts.places(reference))

    def home(self, reference: Reference) -> Repository:
        """Return where `reference` is pushed to."""
        hosts = self._hosts_for(reference.domain)
        return self._repository(hosts.home(reference), hosts)

    def greet(self, domain: str, credentials: Credentials | None) -> None:
        """Ask `domain` whether it accepts `credentials`. Raises RegistryError."""
        hosts = self._hosts_for(domain)
        session = Session(
            hosts.endpoint(domain), hosts, self._transport, self._source, given=credentials
        )
        call = Call("GET", "", "a login", "", "", frozenset({200}))
        session.call(call).whole(MAX_ANSWER, "its greeting")

    def check(self) -> None:
        """Raise Cancelled when the user cancelled, or the work was aborted."""
        self._watch.check()

    def abort(self) -> None:
        """End every transfer, for good: another part of the work has failed."""
        self._watch.abort()

    def close(self) -> None:
        """End all connections."""
        self._transport.close()
        self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hosts_for(self, domain: str) -> Hosts:
        if self._access.verify is None:
            return self._hosts
        return self._hosts.trusting(domain, verify=self._access.verify)

    def _repository(self, place: Place, hosts: Hosts) -> Repository:
        with self._mutex:
            session = self._sessions.get(place.endpoint)
            if session is None:
                given = None if place.mirror else self._access.given
                session = Session(place.endpoint, hosts, self._transport, self._source, given=given)
                self._sessions[place.endpoint] = session
        return Repository(session, place)
