"""Who the user is at which registry: docker's `config.json` and its credential helpers.

In: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `~/.docker/config.json`, containers' `auth.json`.
Out: `Credentials` for a host. What is found here is shown nowhere: the values have a `repr` that
does not tell, and helpers get nothing on their command line (guarantees S22, S26).
Source: docker's "Credential store" and docker-credential-helpers' protocol;
containers-auth.json(5) for keys with a path.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from buildkit.errors import UsageError
from buildkit.oci.reference import DEFAULT_DOMAIN
from buildkit.registry import credential_helper
from buildkit.registry.credential_helper import Credentials, Waiting

HUB_KEY = "https://index.docker.io/v1/"
"""Docker Hub's key in every `config.json`."""

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LIMIT = 4 << 20
_PLAINLY = Waiting()


class CredentialSource(Protocol):
    """Tells who the user is; asked once a host and repository."""

    def find(self, host: str, repository: str = "") -> Credentials | None:
        """Return the credentials for `host[:port]`, None where the user is anybody."""
        ...


class CredentialFiles:
    """The user's files. `named`: from --authfile, alone to be looked at."""

    def __init__(
        self, environment: Mapping[str, str], named: str = "", waiting: Waiting = _PLAINLY
    ) -> None:
        self._environment = environment
        self._waiting = waiting
        self._named = named or environment.get("REGISTRY_AUTH_FILE", "")

    def find(self, host: str, repository: str = "") -> Credentials | None:
        """See `CredentialSource`. Raises UsageError for files and helpers that do not work."""
        for path in self._paths():
            document = _read(path)
            if document is None:
                continue
            found = _found(document, path, host, repository, self._environment, self._waiting)
            if found is not None:
                return found
        return None

    def save(self, host: str, credentials: Credentials) -> str:
        """Keep `credentials`; return where. Raises UsageError."""
        path = self._writable()
        document = _read(path) or {}
        helper = _helper_for(document, path, host)
        key = HUB_KEY if host == DEFAULT_DOMAIN else host
        if helper:
            credential_helper.store(helper, key, credentials, self._environment, self._waiting)
            return f"docker-credential-{helper}"
        auths = _object(document.setdefault("auths", {}), f"{path}: auths")
        for old in _keys(host):
            auths.pop(old, None)
        entry = {"auth": credentials.basic} if credentials.username else {}
        if credentials.identity_token:
            entry["identitytoken"] = credentials.identity_token
        auths[key] = entry
        _write(path, document)
        return path

    def remove(self, host: str) -> bool:
        """Forget the credentials for `host` everywhere; say whether there were any."""
        gone = False
        for path in self._paths():
            document = _read(path)
            if document is None:
                continue
            helper = _helper_for(document, path, host)
            key = HUB_KEY if host == DEFAULT_DOMAIN else host
            asked = (helper, key, self._environment, self._waiting)
            if helper and credential_helper.get(*asked) is not None:
                credential_helper.erase(*asked)
                gone = True
            auths = document.get("auths")
            known = [key for key in _keys(host) if isinstance(auths, dict) and key in auths]
            if known:
                for key in known:
                    del document["auths"][key]
                _write(path, document)
                gone = True
        return gone

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts that the files have credentials for."""
        names: dict[str, None] = {}
        for path in self._paths():
            auths = (_read(path) or {}).get("auths")
            for key in auths if isinstance(auths, dict) else ():
                names[DEFAULT_DOMAIN if key == HUB_KEY else _bare(key)] = None
        return tuple(names)

    def _paths(self) -> Iterator[str]:
        if self._named:
            yield self._named
            return
        yield self._docker()
        runtime = self._environment.get("XDG_RUNTIME_DIR", "")
        if runtime.startswith("/"):
            yield f"{runtime}/containers/auth.json"
        home = self._environment.get("HOME", "")
        if home.startswith("/"):
            yield f"{home}/.config/containers/auth.json"

    def _docker(self) -> str:
        directory = self._environment.get("DOCKER_CONFIG", "")
        if not directory:
            home = self._environment.get("HOME", "")
            directory = f"{home}/.docker" if home.startswith("/") else "/nonexistent"
        return os.path.join(directory, "config.json")

    def _writable(self) -> str:
        path = self._named or self._docker()
        if path.startswith("/nonexistent/"):
            raise UsageError(
                "no place for credentials: neither DOCKER_CONFIG nor HOME is set",
                hint="name a file with --authfile or REGISTRY_AUTH_FILE",
            )
        return path


def _found(
    document: dict[str, Any],
    path: str,
    host: str,
    repository: str,
    environment: Mapping[str, str],
    waiting: Waiting,
) -> Credentials | None:
    """Return what one file knows, its helpers first, as docker does."""
    helper = _helper_for(document, path, host)
    if helper:
        key = HUB_KEY if host == DEFAULT_DOMAIN else host
        found = credential_helper.get(helper, key, environment, waiting)
        if found is not None:
            return found
    auths = _object(document.get("auths", {}), f"{path}: auths")
    for key in _keys(host, repository):
        if key in auths:
            found = _entry(_object(auths[key], f"{path}: auths"), path, key)
            if found is not None:
                return found
    return None


def _helper_for(document: dict[str, Any], path: str, host: str) -> str:
    helpers = _object(document.get("credHelpers", {}), f"{path}: credHelpers")
    for key in _keys(host):
        if isinstance(helpers.get(key), str) and helpers[key]:
            return _checked_helper(helpers[key], path)
    store = document.get("credsStore", "")
    return _checked_helper(store, path) if isinstance(store, str) and store else ""


def _checked_helper(name: str, path: str) -> str:
    if not _HELPER.fullmatch(name):
        raise UsageError(f"{path} names an impossible credential helper: {name!r}")
    return name


def _keys(host: str, repository: str = "") -> Iterator[str]:
    """Yield the keys under which credentials for `host` may stand, the most exact first."""
    parts = repository.split("/") if repository else []
    for depth in range(len(parts), 0, -1):
        yield "/".join((host, *parts[:depth]))
    if host == DEFAULT_DOMAIN:
        yield from (HUB_KEY, "index.docker.io", "https://index.docker.io", "registry-1.docker.io")
    yield host
    for scheme in ("https", "http"):
        yield from (f"{scheme}://{host}", f"{scheme}://{host}/")
        yield from (f"{scheme}://{host}/v2/", f"{scheme}://{host}/v1/")


def _bare(key: str) -> str:
    return key.partition("://")[2].partition("/")[0] if "://" in key else key


def _entry(entry: dict[str, Any], path: str, key: str) -> Credentials | None:
    def text(name: str) -> str:
        value = entry.get(name, "")
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if text("auth"):
        try:
            decoded = base64.b64decode(text("auth"), validate=True).decode()
            username, colon, password = decoded.partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise UsageError(
                f"{path}: the entry for {key} is not base64 of NAME:PASSWORD",
                hint=f"'pybuild login {_bare(key)}' makes a new one",
            )
    found = Credentials(
        username, password.rstrip("\0"), text("identitytoken"), text("registrytoken")
    )
    return None if found == Credentials() else found


def _read(path: str) -> dict[str, Any] | None:
    """Return the document at `path`, None where there is none. Raises UsageError."""
    try:
        # Without waiting for whoever might write to a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{path} is a pipe", hint="logins are read from a file")
            data = file.read(_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or '').lower()}") from error
    if not data.strip():
        return {}
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is not JSON", hint="it holds logins to registries") from None
    return _object(document, path)


def _object(value: Any, place: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{place} is not an object")
    return value


def _write(path: str, document: dict[str, Any]) -> None:
    """Replace the file, readable by its owner alone; a symbolic link keeps pointing to it."""
    path = os.path.realpath(path)
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file, indent="\t")
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise UsageError(f"{path} cannot be written: {(error.strerror or '').lower()}") from error
