"""Stand-ins for base images that are not in the store, so that a Dockerfile can be checked.

In: the request for an image. Out: an image with nothing in it but the variables that images of
this name are known to set. For an image that nobody knows, which variables are set is unknown.
"""

from __future__ import annotations

from buildkit.frontend.bases import BaseRequest
from buildkit.frontend.stage_state import DEFAULT_PATH
from buildkit.oci.config import ContainerConfig, ImageConfig, ResolvedImage
from buildkit.oci.digest import Digest

_LIBRARY = "docker.io/library/"

_PLAIN = frozenset(
    (
        "almalinux", "alpine", "amazonlinux", "buildpack-deps", "busybox", "centos", "debian",
        "rockylinux", "ubuntu",
    )
)  # fmt: skip
"""Official images that set PATH and nothing else."""

_VARIABLES = {
    "eclipse-temurin": "JAVA_HOME JAVA_VERSION LANG LANGUAGE LC_ALL",
    "golang": "GOLANG_VERSION GOPATH GOTOOLCHAIN",
    "nginx": "ACME_VERSION DYNPKG_RELEASE NGINX_VERSION NJS_RELEASE NJS_VERSION PKG_RELEASE",
    "node": "NODE_VERSION YARN_VERSION",
    "python": (
        "GPG_KEY LANG PYTHON_GET_PIP_SHA256 PYTHON_GET_PIP_URL PYTHON_PIP_VERSION"
        " PYTHON_SETUPTOOLS_VERSION PYTHON_SHA256 PYTHON_VERSION"
    ),
    "ruby": (
        "BUNDLE_APP_CONFIG BUNDLE_SILENCE_ROOT_WARNING GEM_HOME LANG RUBY_DOWNLOAD_SHA256"
        " RUBY_DOWNLOAD_URL RUBY_MAJOR RUBY_VERSION"
    ),
    "rust": "CARGO_HOME RUSTUP_HOME RUST_VERSION",
}
"""Official images and what they set in the versions that are in use, as their pages say."""


def stand_in(request: BaseRequest) -> ResolvedImage:
    """Return an empty image of the platform that `request` wants."""
    names = _VARIABLES.get(_official(request.reference), "").split()
    env = (f"PATH={DEFAULT_PATH}", *(f"{name}=value" for name in names))
    config = ImageConfig(platform=request.platform, config=ContainerConfig(env=env))
    return ResolvedImage(request.reference, Digest.of(request.reference.encode()), config)


def is_known(reference: str) -> bool:
    """Say whether a stand-in for `reference` sets what the image itself does."""
    name = _official(reference)
    return name in _PLAIN or name in _VARIABLES


def _official(reference: str) -> str:
    """Return the name of an official image, without tag and digest; empty for others."""
    if not reference.startswith(_LIBRARY):
        return ""
    name = reference.removeprefix(_LIBRARY)
    return name.partition("@")[0].partition(":")[0]
