"""What package managers leave behind and nobody needs in an image.

In: a path. Out: the cache it belongs to, and what to do about it.
"""

from __future__ import annotations

import re

from runtime.values import NamedTuple


class Cache(NamedTuple):
    """A kind of leftover: its directory, whose it is, and what does without it."""

    directory: str
    owner: str
    advice: str


_HOME = "(?:root|home/[^/]+)"
_MOUNT = "RUN --mount=type=cache,target="

_CACHES: tuple[tuple[str, str, str], ...] = (
    ("var/lib/apt/lists", "apt", "rm -rf /var/lib/apt/lists/* in the same RUN"),
    ("var/cache/apt", "apt", f"{_MOUNT}/var/cache/apt, or apt-get clean in the same RUN"),
    ("var/cache/apk", "apk", "apk add --no-cache"),
    ("var/cache/(?:dnf|libdnf5)", "dnf", "dnf clean all in the same RUN"),
    ("var/cache/yum", "yum", "yum clean all in the same RUN"),
    ("var/cache/zypp", "zypper", "zypper clean --all in the same RUN"),
    ("var/cache/pacman/pkg", "pacman", "pacman -Scc --noconfirm in the same RUN"),
    (f"{_HOME}/\\.cache/pip", "pip", f"pip install --no-cache-dir, or {_MOUNT}/root/.cache/pip"),
    (f"{_HOME}/\\.cache/uv", "uv", f"{_MOUNT}/root/.cache/uv"),
    (f"{_HOME}/\\.cache/pypoetry", "poetry", f"{_MOUNT}/root/.cache/pypoetry"),
    (f"{_HOME}/\\.npm", "npm", f"{_MOUNT}/root/.npm"),
    (f"{_HOME}/\\.cache/yarn|usr/local/share/\\.cache/yarn", "yarn", "yarn cache clean"),
    (f"{_HOME}/\\.local/share/pnpm/store", "pnpm", f"{_MOUNT}/root/.local/share/pnpm/store"),
    (f"{_HOME}/\\.cache/go-build", "go", f"{_MOUNT}/root/.cache/go-build"),
    ("(?:root/)?go/pkg/mod/cache", "go", f"{_MOUNT}/go/pkg/mod"),
    ("(?:root/\\.cargo|usr/local/cargo)/registry", "cargo", f"{_MOUNT}/usr/local/cargo/registry"),
    (f"{_HOME}/\\.m2/repository", "maven", f"{_MOUNT}/root/.m2"),
    (f"{_HOME}/\\.gradle/caches", "gradle", f"{_MOUNT}/root/.gradle"),
    (f"{_HOME}/\\.composer/cache|{_HOME}/\\.cache/composer", "composer", "composer clear-cache"),
    (f"{_HOME}/\\.bundle/cache|usr/local/bundle/cache", "bundler", "bundle config no-cache true"),
    (f"{_HOME}/\\.conda/pkgs|opt/conda/pkgs", "conda", "conda clean --all in the same RUN"),
)

_PATTERN = re.compile("|".join(f"({pattern})(?:/|$)" for pattern, _, _ in _CACHES))


def cache_of(path: str) -> Cache | None:
    """Return the cache that `path` (no leading slash) lies in, None for everything else."""
    match = _PATTERN.match(path)
    if match is None or match.lastindex is None:
        return None
    _, owner, advice = _CACHES[match.lastindex - 1]
    return Cache(f"/{match[match.lastindex]}", owner, advice)
