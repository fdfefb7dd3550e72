"""Registries by configuration: mirrors, plain HTTP, private authorities.

In: `registries.conf` (TOML, the format of containers-registries.conf(5), version 2), `certs.d`
directories, `PYBUILD_REGISTRY_MIRRORS`. Out: `Hosts`. Two things are ours: a `location` may begin
with `http://` or `https://`, and `ca` names a file (or a list of files) with authorities that are
trusted for that location. Search lists and aliases for short names are not used: a name without a
host is Docker Hub's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from buildkit.errors import UsageError
from buildkit.registry.hosts import (
    Hosts,
    Location,
    Rule,
    Trust,
    Wanted,
    parse_mirrors,
    with_mirrors,
)
from runtime.typed import get_args

MIRRORS = "PYBUILD_REGISTRY_MIRRORS"
_VARIABLES = ("PYBUILD_REGISTRIES_CONF", "CONTAINERS_REGISTRIES_CONF")
_SYSTEM = "/etc/containers/registries.conf"
_CERTIFICATES = ("/etc/containers/certs.d", "/etc/docker/certs.d")
_LIMIT = 4 << 20


def load_hosts(environment: Mapping[str, str]) -> Hosts:
    """Return the rules that hold for this user. Raises UsageError naming the file."""
    rules: dict[str, Rule] = {}
    for path in _files(environment):
        for rule in _rules(path):
            rules[rule.prefix] = rule
    hosts = Hosts(tuple(rules.values()), tuple(_certificates(environment)))
    return with_mirrors(hosts, parse_mirrors(environment.get(MIRRORS, "")))


def parse_rules(text: str, name: str) -> tuple[Rule, ...]:
    """Return the rules in the text of a `registries.conf`. Raises UsageError."""
    import tomllib  # 5 ms; most users have no such file

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not TOML: {error}") from error
    tables = document.get("registry", [])
    if isinstance(document.get("registries"), dict):
        raise UsageError(
            f"{name} has the old form, with [registries]",
            hint="write [[registry]] tables, as containers-registries.conf(5) tells",
        )
    return tuple(
        _rule(table, f"{name}: registry[{number}]")
        for number, table in enumerate(_tables(tables, f"{name}: registry"))
    )


def _rule(table: Mapping[str, Any], place: str) -> Rule:
    prefix = _text(table, "prefix", place)
    location = _text(table, "location", place)
    if not prefix and not location:
        raise UsageError(f"{place} has neither prefix nor location")
    if not location and prefix.startswith("*."):
        location = prefix[2:]
    digest_only = _truth(table, "mirror-by-digest-only", place)
    mirrors = tuple(
        _location(mirror, f"{place}.mirror[{number}]", digest_only=digest_only)
        for number, mirror in enumerate(_tables(table.get("mirror", []), f"{place}.mirror"))
    )
    own = _location({**table, "location": location or prefix}, place)
    return Rule(
        prefix=prefix or "/".join(filter(None, (own.host, own.path))),
        location=own,
        mirrors=mirrors,
        blocked=_truth(table, "blocked", place),
    )


def _location(table: Mapping[str, Any], place: str, *, digest_only: bool = False) -> Location:
    wanted = _text(table, "pull-from-mirror", place) or ("digest-only" if digest_only else "all")
    if wanted not in get_args(Wanted):
        raise UsageError(f"{place}.pull-from-mirror: {wanted!r} is not one of {get_args(Wanted)}")
    authorities = table.get("ca", [])
    if isinstance(authorities, str):
        authorities = [authorities]
    if not isinstance(authorities, list) or not all(isinstance(one, str) for one in authorities):
        raise UsageError(f"{place}.ca is neither a file nor a list of files")
    try:
        return Location.parse(
            _text(table, "location", place),
            insecure=_truth(table, "insecure", place),
            ca=tuple(authorities),
            wanted=wanted,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise UsageError(f"{place}.location: {error}") from error


def _tables(value: Any, place: str) -> list[dict[str, Any]]:  # noqa: ANN401 - TOML
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise UsageError(f"{place} is not a list of tables", hint="write [[registry]]")
    return value


def _text(table: Mapping[str, Any], key: str, place: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{place}.{key} is not a text")
    return value.strip()


def _truth(table: Mapping[str, Any], key: str, place: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{place}.{key} is neither true nor false")
    return value


def _files(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the files there are, those that win last."""
    for variable in _VARIABLES:
        named = environment.get(variable, "")
        if named:
            if not os.path.isfile(named):
                raise UsageError(f"{variable} names {named}, which is not a file")
            yield named
            return
    own = _own_directory(environment)
    candidates = [f"{own}/pybuild/registries.conf", f"{own}/containers/registries.conf", _SYSTEM]
    main = next((path for path in candidates if os.path.isfile(path)), None)
    if main is not None:
        yield main
    for directory in (f"{_SYSTEM}.d", f"{own}/containers/registries.conf.d"):
        names = os.listdir(directory) if os.path.isdir(directory) else []
        yield from (f"{directory}/{name}" for name in sorted(names) if name.endswith(".conf"))


def _own_directory(environment: Mapping[str, str]) -> str:
    """Return the user's directory of configuration, a path that is not there if he has none."""
    own = environment.get("XDG_CONFIG_HOME", "")
    if own.startswith("/"):
        return own
    home = environment.get("HOME", "")
    return f"{home}/.config" if home.startswith("/") else "/nonexistent"


def _rules(path: str) -> tuple[Rule, ...]:
    try:
        with open(path, "rb") as file:
            text = file.read(_LIMIT).decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or '').lower()}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    if "registr" not in text.replace("unqualified-search-registries", ""):
        return ()  # the usual case: all comments
    return parse_rules(text, path)


def _certificates(environment: Mapping[str, str]) -> Iterator[tuple[str, Trust]]:
    """Yield what `certs.d/HOST:PORT` directories hold: *.crt, *.cert with its *.key."""
    found: dict[str, Trust] = {}
    own = _own_directory(environment)
    for directory in (*reversed(_CERTIFICATES), f"{own}/containers/certs.d"):
        for host in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
            trust = _trust(f"{directory}/{host}")
            if trust != Trust():
                found[host] = trust
    yield from found.items()


def _trust(directory: str) -> Trust:
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    authorities = tuple(f"{directory}/{name}" for name in names if name.endswith(".crt"))
    client = next((name for name in names if name.endswith(".cert")), "")
    key = f"{client.removesuffix('.cert')}.key"
    return Trust(
        authorities=authorities,
        certificate=f"{directory}/{client}" if client else "",
        key=f"{directory}/{key}" if client and key in names else "",
    )
