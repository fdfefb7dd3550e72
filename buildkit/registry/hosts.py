"""Where an image is asked for: mirrors and the registry itself, in order, and how each is trusted.

In: rules (of `config.py`), a reference. Out: `Place`s. Pure. A loopback registry is spoken to
without TLS unasked; any other only where the user says so (docs/security.md, S21).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from buildkit.errors import UsageError
from buildkit.oci.reference import DEFAULT_DOMAIN, Reference
from buildkit.registry.errors import RegistryError
from buildkit.registry.proxies import is_loopback
from runtime.values import NamedTuple

Scheme: TypeAlias = Literal["https", "http", "either"]
"""`either`: whatever the host speaks, TLS tried first for insecure hosts, last for loopback."""

Wanted: TypeAlias = Literal["all", "digest-only", "tag-only"]

_HUB = "registry-1.docker.io"


class Trust(NamedTuple):
    """How TLS with a host goes: files of further authorities, a client certificate and its key."""

    verify: bool = True
    authorities: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""


class Endpoint(NamedTuple):
    """A registry to speak to. `name` is `host[:port]` as users write it, the key of credentials."""

    name: str
    scheme: Scheme
    trust: Trust

    @property
    def host(self) -> str:
        """The host to connect to, with its port if one is named."""
        return _HUB if self.name == DEFAULT_DOMAIN else self.name


class Place(NamedTuple):
    """A repository of a registry; `mirror`: its answers stand for another one's."""

    endpoint: Endpoint
    repository: str
    mirror: bool = False


class Location(NamedTuple):
    """`location` of a rule: `host[:port][/path]`, perhaps with `http://` or `https://` before."""

    host: str
    path: str
    scheme: Scheme | None
    insecure: bool
    ca: tuple[str, ...] = ()
    wanted: Wanted = "all"

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        insecure: bool = False,
        ca: tuple[str, ...] = (),
        wanted: Wanted = "all",
    ) -> Location:
        """Return the location that `text` means. Raises ValueError."""
        scheme: Scheme | None = None
        for known in ("http", "https"):
            if text.lower().startswith(f"{known}://"):
                scheme = known
                text = text[len(known) + 3 :]
        host, _, path = text.strip("/").partition("/")
        if host == "index.docker.io":
            host = DEFAULT_DOMAIN
        if not host or "@" in host or "?" in text or "#" in text:
            raise ValueError(f"not a registry's location: {text!r}")
        # The reference grammar is what keeps odd characters out of URLs.
        Reference.parse(f"{_domain(host)}/{path or 'x'}")
        return cls(host, path, scheme, insecure, ca, wanted)


class Rule(NamedTuple):
    """One `[[registry]]`: what it is for, where that is, and its mirrors in order."""

    prefix: str
    location: Location
    mirrors: tuple[Location, ...] = ()
    blocked: bool = False


class Hosts(NamedTuple):
    """All rules; `certificates`: host to what `certs.d` directories hold for it."""

    rules: tuple[Rule, ...] = ()
    certificates: tuple[tuple[str, Trust], ...] = ()

    def places(self, reference: Reference) -> tuple[Place, ...]:
        """Return where to pull `reference` from, mirrors first. Raises RegistryError if blocked."""
        rule = self._rule(reference)
        if rule is None:
            return (Place(self.endpoint(reference.domain), reference.path),)
        places = []
        for mirror in rule.mirrors:
            if mirror.wanted != "all" and (mirror.wanted == "tag-only") == bool(reference.digest):
                continue
            places.append(self._place(rule, mirror, reference)._replace(mirror=True))
        places.append(self._place(rule, rule.location, reference))
        return tuple(places)

    def home(self, reference: Reference) -> Place:
        """Return where to push `reference`: mirrors are only read."""
        return self.places(reference)[-1]

    def endpoint(self, domain: str) -> Endpoint:
        """Return how to speak to the registry `domain` where no rule rewrites it."""
        rule = self._matching(domain)
        location = None if rule is None or "/" in rule.prefix else rule.location
        if location is None or location.host != domain:
            location = Location(domain, "", None, insecure=False)
        return self._endpoint(location)

    def trusting(self, domain: str, *, verify: bool) -> Hosts:
        """Return the same with `domain` (and what it is rewritten to) secure or not, as asked."""
        changed = [
            rule._replace(location=rule.location._replace(insecure=not verify))
            if rule.prefix == domain or rule.prefix.startswith(f"{domain}/")
            else rule
            for rule in self.rules
        ]
        if not any(rule.prefix == domain for rule in changed):
            changed.append(Rule(domain, Location.parse(domain, insecure=not verify)))
        return self._replace(rules=tuple(changed))

    def _rule(self, reference: Reference) -> Rule | None:
        rule = self._matching(reference.repository)
        if rule is not None and rule.blocked:
            raise RegistryError(
                f"registry {rule.prefix} is blocked in registries.conf",
                hint=f"it is asked for by {reference.familiar}",
            )
        return rule

    def _matching(self, name: str) -> Rule | None:
        """Return the rule with the longest prefix of `name`."""
        found = [rule for rule in self.rules if _is_prefix(rule.prefix, name)]
        return max(found, key=lambda rule: len(rule.prefix), default=None)

    def _place(self, rule: Rule, location: Location, reference: Reference) -> Place:
        """Return where `location`, which stands for the prefix, has `reference`."""
        rest = reference.repository
        if not rule.prefix.startswith("*."):
            rest = rest[len(rule.prefix) :].strip("/")
        else:
            rest = reference.path
        repository = "/".join(part for part in (location.path, rest) if part)
        return Place(self._endpoint(location), repository)

    def _endpoint(self, location: Location) -> Endpoint:
        trust = dict(self.certificates).get(location.host, Trust())
        authorities = (*trust.authorities, *location.ca)
        trust = trust._replace(authorities=authorities, verify=not location.insecure)
        scheme: Scheme
        if location.scheme is not None:
            scheme = location.scheme
        elif authorities or trust.certificate:
            scheme = "https"
        elif location.insecure or is_loopback(host_and_port(location.host)[0]):
            scheme = "either"
        else:
            scheme = "https"
        return Endpoint(location.host, scheme, trust)


def host_and_port(name: str) -> tuple[str, int | None]:
    """Split `host[:port]`."""
    head, colon, tail = name.rpartition(":")
    if colon and tail.isascii() and tail.isdigit() and len(tail) < 6:
        return head, int(tail)
    return name, None


def parse_mirrors(text: str) -> tuple[tuple[str, Location], ...]:
    """Return the mirrors in `PYBUILD_REGISTRY_MIRRORS`: `REGISTRY=LOCATION`, comma or space apart.

    Raises UsageError.
    """
    found = []
    for word in text.replace(",", " ").split():
        name, equals, location = word.partition("=")
        try:
            if not equals or not name:
                raise ValueError("no '='")
            prefix = Location.parse(name)
            found.append((f"{prefix.host}/{prefix.path}".rstrip("/"), Location.parse(location)))
        except ValueError as error:
            raise UsageError(
                f"PYBUILD_REGISTRY_MIRRORS: {word!r}: {error}",
                hint="the form is REGISTRY=LOCATION, as in docker.io=http://127.0.0.1:5000",
            ) from error
    return tuple(found)


def with_mirrors(hosts: Hosts, mirrors: Iterable[tuple[str, Location]]) -> Hosts:
    """Return `hosts` with further mirrors, which are asked before those of the file."""
    rules = list(hosts.rules)
    by_name: dict[str, list[Location]] = {}
    for name, location in mirrors:
        by_name.setdefault(name, []).append(location)
    for name, added in by_name.items():
        if not any(rule.prefix == name for rule in rules):
            rules.append(Rule(name, Location.parse(name)))
        rules = [
            rule._replace(mirrors=(*added, *rule.mirrors))
            if rule.prefix == name or rule.prefix.startswith(f"{name}/")
            else rule
            for rule in rules
        ]
    return hosts._replace(rules=tuple(rules))


def _is_prefix(prefix: str, name: str) -> bool:
    if prefix.startswith("*."):
        host, _, _ = name.partition("/")
        return host_and_port(host)[0].endswith(prefix[1:])
    return name == prefix or name.startswith(f"{prefix}/")


def _domain(host: str) -> str:
    """Return `host` so that a reference takes it for a domain."""
    return host if "." in host or ":" in host or host == "localhost" else f"{host}.x"
