"""TLS: who is trusted, and that nobody is spoken to without it by surprise."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.oci.platforms import Platform
from buildkit.registry.client import Access
from buildkit.registry.errors import RegistryError, UnreachableError
from buildkit.registry.pull import resolve
from tests import registry_faults as faults
from tests.buildkit.registry.conftest import Open, named
from tests.registry import Registry, digest_of, running

AMD64 = Platform("linux", "amd64")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that is its own authority, with its key beside it."""
    top = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=registry"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(top / "key.pem"), "-out", str(top / "ca.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return top / "ca.pem"


@pytest.fixture
def secure(authority: Path) -> Iterator[Registry]:
    """A registry with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.parent / "key.pem")
    with running(context) as found:
        found.image(b"layer")
        yield found


def test_a_private_authority_is_named_in_registries_conf(
    secure: Registry, client: Open, authority: Path, tmp_path: Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "{secure.host}"\nca = "{authority}"\n')
    registry = client(CONTAINERS_REGISTRIES_CONF=str(conf))
    assert resolve(registry, named(secure), AMD64, lambda _: None).config.diff_ids


def test_a_private_authority_lies_in_certs_d(
    secure: Registry, client: Open, authority: Path, home: Path
) -> None:
    directory = home / f".config/containers/certs.d/{secure.host}"
    directory.mkdir(parents=True)
    shutil.copy(authority, directory / "ca.crt")
    assert resolve(client(), named(secure), AMD64, lambda _: None).config.diff_ids


def test_openssls_variable_is_honoured(
    secure: Registry, client: Open, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert resolve(client(), named(secure), AMD64, lambda _: None).config.diff_ids


def test_a_strange_certificate_is_refused_at_once(secure: Registry, client: Open) -> None:
    with pytest.raises(UnreachableError, match=r"certificate of .* is not trusted") as raised:
        resolve(client(), named(secure), AMD64, lambda _: None)
    assert "registries.conf" in raised.value.hint
    assert "tried" not in raised.value.message


def test_who_says_so_need_not_verify(secure: Registry, client: Open) -> None:
    registry = client(Access(verify=False))
    assert resolve(registry, named(secure), AMD64, lambda _: None).config.diff_ids


def test_a_registry_marked_insecure_may_speak_plain_http(server: Registry, client: Open) -> None:
    server.image(b"layer")
    registry = client(Access(verify=False))
    assert resolve(registry, named(server), AMD64, lambda _: None).config.diff_ids


def test_there_is_no_way_down_from_tls(
    server: Registry, client: Open, tmp_path: Path, authority: Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "{server.host}"\nca = "{authority}"\n')
    with pytest.raises(UnreachableError, match=r"does not speak TLS|TLS with"):
        resolve(client(CONTAINERS_REGISTRIES_CONF=str(conf)), named(server), AMD64, lambda _: None)
    assert not server.asked


def test_a_redirect_does_not_lead_out_of_tls(
    secure: Registry, server: Registry, client: Open, home: Path, authority: Path
) -> None:
    directory = home / f".config/containers/certs.d/{secure.host}"
    directory.mkdir(parents=True)
    shutil.copy(authority, directory / "ca.crt")
    config = next(digest for digest in secure.blobs if digest != digest_of(b"layer"))
    secure.fault(config, faults.redirect(f"http://{server.host}{{}}"))
    with pytest.raises(RegistryError, match="leads from TLS"):
        resolve(client(), named(secure), AMD64, lambda _: None)
    assert not server.asked


def test_a_token_service_without_tls_is_refused(
    secure: Registry, server: Registry, client: Open, home: Path, authority: Path
) -> None:
    directory = home / f".config/containers/certs.d/{secure.host}"
    directory.mkdir(parents=True)
    shutil.copy(authority, directory / "ca.crt")
    secure.challenge = f'Bearer realm="http://{server.host}/token"'
    secure.allow = lambda _: False
    with pytest.raises(RegistryError, match="without TLS"):
        resolve(client(), named(secure), AMD64, lambda _: None)
    assert not server.asked
