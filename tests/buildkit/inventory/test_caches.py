"""Which paths are caches of package managers."""

import pytest

from buildkit.inventory.caches import cache_of


@pytest.mark.parametrize(
    ("path", "owner", "directory"),
    [
        ("var/lib/apt/lists/deb.debian.org_dists", "apt", "/var/lib/apt/lists"),
        ("var/cache/apt/archives/a.deb", "apt", "/var/cache/apt"),
        ("var/cache/apk/x", "apk", "/var/cache/apk"),
        ("var/cache/dnf/x", "dnf", "/var/cache/dnf"),
        ("var/cache/yum/x", "yum", "/var/cache/yum"),
        ("root/.cache/pip/http/a", "pip", "/root/.cache/pip"),
        ("home/me/.cache/pip/http/a", "pip", "/home/me/.cache/pip"),
        ("root/.npm/_cacache/x", "npm", "/root/.npm"),
        ("go/pkg/mod/cache/download/x", "go", "/go/pkg/mod/cache"),
        ("usr/local/cargo/registry/x", "cargo", "/usr/local/cargo/registry"),
        ("opt/conda/pkgs/x", "conda", "/opt/conda/pkgs"),
    ],
)
def test_a_cache_is_known_by_its_place(path: str, owner: str, directory: str) -> None:
    cache = cache_of(path)
    assert cache is not None
    assert (cache.owner, cache.directory) == (owner, directory)


@pytest.mark.parametrize(
    "path", ["var/lib/aptitude", "app/var/cache/apt/x", "root/.npmrc", "go/pkg/mod/x", "home/.npm"]
)
def test_other_paths_are_none(path: str) -> None:
    assert cache_of(path) is None
