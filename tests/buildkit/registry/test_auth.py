"""Who asks: Basic, tokens, and that credentials stay where they belong."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from buildkit.oci.platforms import Platform
from buildkit.registry.client import Access
from buildkit.registry.credential_helper import Credentials
from buildkit.registry.errors import RefusedError, RegistryError
from buildkit.registry.pull import fetch, resolve
from tests import registry_faults as faults
from tests.buildkit.registry.conftest import Open, named
from tests.buildkit.registry.taker import MemoryTaker
from tests.registry import Exchange, digest_of, document
from tests.registry import Registry as Server

AMD64 = Platform("linux", "amd64")
LAYER = b"layer" * 1000
BASIC = "Basic " + base64.b64encode(b"joe:secret").decode()


def log_in(home: Path, host: str, auth: str = "joe:secret") -> None:
    """Write docker's config.json."""
    (home / ".docker").mkdir(exist_ok=True)
    entry = {"auth": base64.b64encode(auth.encode()).decode()}
    (home / ".docker/config.json").write_text(json.dumps({"auths": {host: entry}}))


def want_basic(server: Server) -> None:
    """Let only joe in."""
    server.challenge = 'Basic realm="x"'
    server.allow = lambda exchange: exchange.headers.get("Authorization") == BASIC


def want_token(
    server: Server, token: str = "t0ken", realm: str = "", basic: str = BASIC
) -> Callable[[], list[dict[str, list[str]]]]:
    """Let only those in who have the token; return what was asked of the token service."""
    realm = realm or f"http://{server.host}/token"
    server.challenge = f'Bearer realm="{realm}",service="reg",scope="repository:app:pull"'
    server.allow = lambda exchange: exchange.headers.get("Authorization") == f"Bearer {token}"
    asked: list[dict[str, list[str]]] = []

    def give(exchange: Exchange) -> None:
        body = exchange.body().decode()
        asked.append(parse_qs(body or urlsplit(exchange.path).query))
        if basic and exchange.headers.get("Authorization", "") != basic:
            exchange.answer(401, {}, b"{}")
        else:
            exchange.answer(200, {}, document({"token": token, "expires_in": 300}))

    server.token = give
    return lambda: asked


def pull(client: Open, server: Server, access: Access | None = None) -> None:
    registry = client(access)
    taker = MemoryTaker()
    chosen = resolve(registry, named(server), AMD64, lambda _: None)
    fetch(chosen, registry, taker, lambda _: None)
    assert list(taker.layers.values()) == [LAYER]


def authorizations(server: Server) -> set[str]:
    return {asked.headers.get("Authorization", "") for asked in server.asked}


def test_a_password_is_sent_once_it_is_asked_for(server: Server, client: Open, home: Path) -> None:
    server.image(LAYER)
    want_basic(server)
    log_in(home, server.host)
    pull(client, server)
    sent = [asked.headers.get("Authorization") for asked in server.asked]
    assert sent[:3] == [None, None, BASIC]
    assert set(sent[2:]) == {BASIC}


def test_a_registry_that_asks_for_nothing_gets_nothing(
    server: Server, client: Open, home: Path
) -> None:
    server.image(LAYER)
    log_in(home, server.host)
    pull(client, server)
    assert authorizations(server) == {""}


def test_a_token_is_got_once_and_used_for_all(server: Server, client: Open, home: Path) -> None:
    server.image(LAYER)
    asked = want_token(server)
    log_in(home, server.host)
    pull(client, server)
    assert asked() == [{"service": ["reg"], "scope": ["repository:app:pull"], "account": ["joe"]}]


def test_a_token_is_got_for_nobody_in_particular(server: Server, client: Open) -> None:
    server.image(LAYER)
    asked = want_token(server, basic="")
    pull(client, server)
    assert asked() == [{"service": ["reg"], "scope": ["repository:app:pull"]}]
    assert authorizations(server) == {"", "Bearer t0ken"}


def test_a_token_that_ran_out_is_renewed(server: Server, client: Open) -> None:
    server.image(LAYER)
    asked = want_token(server, "first", basic="")
    registry = client()
    chosen = resolve(registry, named(server), AMD64, lambda _: None)
    again = want_token(server, "second", basic="")
    taker = MemoryTaker()
    fetch(chosen, registry, taker, lambda _: None)
    assert list(taker.layers.values()) == [LAYER]
    assert (len(asked()), len(again())) == (1, 1)


def test_an_identity_token_is_exchanged(server: Server, client: Open, home: Path) -> None:
    server.image(LAYER)
    asked = want_token(server, basic="")
    (home / ".docker").mkdir()
    auths = {server.host: {"auth": "", "identitytoken": "refresh-me"}}
    (home / ".docker/config.json").write_text(json.dumps({"auths": auths}))
    pull(client, server)
    (form,) = asked()
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["refresh-me"]
    assert all("refresh-me" not in one.path for one in server.asked)


def test_a_registry_token_is_shown_as_it_is(server: Server, client: Open, home: Path) -> None:
    server.image(LAYER)
    want_token(server, "ready-made")
    (home / ".docker").mkdir()
    auths = {server.host: {"registrytoken": "ready-made"}}
    (home / ".docker/config.json").write_text(json.dumps({"auths": auths}))
    pull(client, server)


def test_credentials_of_the_call_go_before_those_of_files(
    server: Server, client: Open, home: Path
) -> None:
    server.image(LAYER)
    want_basic(server)
    log_in(home, server.host, "joe:old")
    pull(client, server, Access(given=Credentials("joe", "secret")))


@pytest.mark.parametrize("known", [False, True])
def test_a_stranger_is_told_to_log_in(
    server: Server, client: Open, home: Path, known: bool
) -> None:
    server.image(LAYER)
    want_basic(server)
    if known:
        log_in(home, server.host, "joe:wrong")
    with pytest.raises(RefusedError, match="does not know who asks") as raised:
        resolve(client(), named(server), AMD64, lambda _: None)
    assert f"pybuild login {server.host}" in raised.value.hint
    assert ("is not accepted" in raised.value.hint) == known
    assert "wrong" not in raised.value.message + raised.value.hint


def test_a_token_service_that_refuses_is_told(server: Server, client: Open, home: Path) -> None:
    server.image(LAYER)
    want_token(server)
    log_in(home, server.host, "joe:wrong")
    with pytest.raises(RefusedError, match="refuses a token"):
        resolve(client(), named(server), AMD64, lambda _: None)


@pytest.mark.parametrize(
    "answer", [b"<html>", b"{}", b'{"token": 5}', b'{"token": "a\\r\\nX: y"}', b"[]"]
)
def test_a_token_that_is_none_is_an_error(server: Server, client: Open, answer: bytes) -> None:
    server.image(LAYER)
    want_token(server)
    server.fault("GET /token", faults.body(answer))
    with pytest.raises(RegistryError, match=r"the token service of .* gives no"):
        resolve(client(), named(server), AMD64, lambda _: None)


def test_a_token_service_that_fails_for_a_while_is_asked_again(
    server: Server, client: Open
) -> None:
    server.image(LAYER)
    want_token(server, basic="")
    server.fault("GET /token", faults.status(503), times=2)
    pull(client, server)


@pytest.mark.parametrize(
    "realm",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://joe:x@127.0.0.1/", "", "http://[::1/x"],
)
def test_an_impossible_token_service_is_refused(server: Server, client: Open, realm: str) -> None:
    server.image(LAYER)
    want_token(server)
    server.challenge = f'Bearer realm="{realm}",service="reg"'
    with pytest.raises(RegistryError, match="impossible token service"):
        resolve(client(), named(server), AMD64, lambda _: None)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ["basic", "token"])
def test_credentials_do_not_follow_to_another_port(
    server: Server, other: Server, client: Open, home: Path, kind: str, code: int
) -> None:
    server.image(LAYER)
    other.blob(LAYER, "app")
    log_in(home, server.host)
    (want_basic if kind == "basic" else want_token)(server)
    server.fault(digest_of(LAYER), faults.redirect(f"http://{other.host}{{}}", code))
    pull(client, server)
    assert authorizations(other) == {""}


def test_a_challenge_from_elsewhere_is_not_answered(
    server: Server, other: Server, client: Open, home: Path
) -> None:
    server.image(LAYER)
    log_in(home, server.host)
    want_basic(server)
    want_basic(other)
    server.fault(digest_of(LAYER), faults.redirect(f"http://{other.host}{{}}"))
    with pytest.raises(RefusedError):
        pull(client, server)
    assert authorizations(other) == {""}


def test_a_way_back_does_not_bring_credentials_back(
    server: Server, other: Server, client: Open, home: Path
) -> None:
    server.image(LAYER)
    log_in(home, server.host)
    want_basic(server)
    server.fault(digest_of(LAYER), faults.redirect(f"http://{other.host}/away"))
    other.fault("/away", faults.redirect(f"http://{server.host}/trap"))
    with pytest.raises(RegistryError):
        pull(client, server)
    trapped = [asked for asked in server.asked if asked.path == "/trap"]
    assert [asked.headers.get("Authorization") for asked in trapped] == [None] * len(trapped)
    assert trapped


def test_a_mirror_gets_no_credentials_of_the_registry(
    server: Server, other: Server, client: Open, home: Path
) -> None:
    server.image(LAYER)
    want_basic(other)
    want_basic(server)
    log_in(home, server.host)
    registry = client(
        Access(given=Credentials("joe", "secret")),
        PYBUILD_REGISTRY_MIRRORS=f"{server.host}=http://{other.host}",
    )
    resolve(registry, named(server), AMD64, lambda _: None)
    assert other.asked
    assert authorizations(other) == {""}


def test_errors_tell_no_secrets(server: Server, client: Open, home: Path) -> None:
    server.image(LAYER)
    want_token(server)
    log_in(home, server.host)
    server.fault("/token", faults.status(500, message="no joe:secret here"))
    with pytest.raises(RegistryError) as raised:
        resolve(client(), named(server), AMD64, lambda _: None)
    assert not re.search(BASIC.partition(" ")[2], raised.value.message)


def test_greeting_tries_credentials(server: Server, client: Open) -> None:
    want_basic(server)
    client().greet(server.host, Credentials("joe", "secret"))
    with pytest.raises(RefusedError):
        client().greet(server.host, Credentials("joe", "wrong"))
