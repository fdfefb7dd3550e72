"""Which proxy is used for what."""

import pytest

from buildkit.errors import UsageError
from buildkit.registry.proxies import is_loopback, proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("scheme", "environment", "expected"),
    [
        ("https", {}, ""),
        ("https", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ("http", {"HTTPS_PROXY": PROXY}, ""),
        ("http", {"http_proxy": PROXY}, PROXY),
        ("http", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, ""),
        ("https", {"ALL_PROXY": PROXY}, PROXY),
        ("https", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ("https", {"HTTPS_PROXY": "http://joe:x@proxy.example:3128"}, PROXY),
    ],
)
def test_the_environment_names_a_proxy(
    scheme: str, environment: dict[str, str], expected: str
) -> None:
    found = proxy_for(scheme, "registry.example", 443, environment)
    assert ("" if found is None else found.url) == expected


@pytest.mark.parametrize(
    ("exceptions", "host", "excepted"),
    [
        ("*", "registry.example", True),
        ("registry.example", "registry.example", True),
        ("example", "registry.example", True),
        (".example", "registry.example", True),
        ("xample", "registry.example", False),
        ("a.b, registry.example", "registry.example", True),
        ("registry.example:443", "registry.example", True),
        ("registry.example:80", "registry.example", False),
        ("registry.example:²", "registry.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "registry.example", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("", "127.0.0.1", True),
        ("", "localhost", True),
    ],
)
def test_some_hosts_have_none(exceptions: str, host: str, excepted: bool) -> None:
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions}
    assert (proxy_for("https", host, 443, environment) is None) == excepted


def test_the_password_of_a_proxy_stands_apart_and_is_not_shown() -> None:
    found = proxy_for("https", "x.example", 443, {"HTTPS_PROXY": "http://joe:p%40ss@p.example"})
    assert found is not None
    assert found.userinfo == "joe:p@ss"
    assert "p@ss" not in repr(found)


def test_an_impossible_proxy_is_an_error() -> None:
    with pytest.raises(UsageError, match="HTTPS_PROXY"):
        proxy_for("https", "x.example", 443, {"HTTPS_PROXY": "socks5://p.example"})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_known_by_name_and_number(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected
