"""What is in an image, as a CycloneDX document: from the package databases in it.

In: a descriptor of the image's tree, its config. Out: JSON, the same for the same image: its time
is the image's and its serial number follows from the image's ID. The one door to
cyclonedx-python-lib, an optional dependency. Source: CycloneDX 1.6; purl-spec, "Package URL types".
"""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib.util import find_spec

from buildkit.attestation.files import ImageFiles
from buildkit.attestation.language_packages import installed
from buildkit.attestation.package import Distribution, Package, sound
from buildkit.attestation.rpm import rpm
from buildkit.attestation.system_packages import apk, distribution, dpkg
from buildkit.errors import UsageError
from buildkit.oci.config import ImageConfig
from buildkit.oci.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cyclonedx.model.component import Component

_NAMESPACES = {"deb": "debian", "apk": "alpine", "rpm": "redhat"}
"""What is assumed where there is no os-release."""

_PLACE = "pybuild:package:file"
_SOURCE = "pybuild:package:source"
_EPOCH = "1970-01-01T00:00:00+00:00"


def check_library() -> None:
    """Raise UsageError where the library is missing: before the build, not after it."""
    for name in ("cyclonedx", "packageurl"):
        if find_spec(name) is None:
            raise UsageError(
                "--sbom needs the library cyclonedx-python-lib, which is not installed",
                hint="pip install 'pybuild[sbom]'",
            )


def packages_of(
    root_fd: int, warn: Callable[[str], None], check: Callable[[], object] = lambda: None
) -> tuple[Distribution, list[Package]]:
    """Return the distribution and the packages of a tree, each once; `check` raises to end it."""
    files = ImageFiles(root_fd, warn, check)
    found = (*dpkg(files), *apk(files), *rpm(files), *installed(files))
    return distribution(files), list(dict.fromkeys(sound(found)))


def sbom_of(
    image: Digest, config: ImageConfig, system: Distribution, packages: Iterable[Package]
) -> dict[str, Any]:
    """Return the document of an image. Raises UsageError where the library is missing."""
    check_library()
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    subject = Component(
        type=ComponentType.CONTAINER, name="image", version=str(image), bom_ref=str(image)
    )
    parts = [_component(number, one, system) for number, one in enumerate(packages)]
    if system.id:
        parts.append(
            Component(
                type=ComponentType.OPERATING_SYSTEM,
                name=system.id,
                version=system.version or None,
                bom_ref="operating-system",
            )
        )
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"oci:{image}"),
        metadata=BomMetaData(timestamp=_time(config.created), component=subject),
        components=parts,
    )
    bom.register_dependency(subject, parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what the document could say besides
        document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    return document


def _component(number: int, package: Package, system: Distribution) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    namespace, name = _named(package, system)
    qualifiers = {}
    if package.architecture:
        qualifiers["arch"] = package.architecture
    if package.kind in _NAMESPACES and system.id and system.version:
        qualifiers["distro"] = f"{system.id}-{system.version}"
    purl = PackageURL(package.kind, namespace, name, package.version, qualifiers)
    properties = [Property(name=_PLACE, value=f"/{package.place}")]
    if package.source:
        properties.append(Property(name=_SOURCE, value=package.source))
    return Component(
        type=ComponentType.LIBRARY,
        group=namespace if package.kind == "npm" else None,
        name=name,
        version=package.version,
        purl=purl,
        # The purl alone may stand twice: one version in two places.
        bom_ref=f"{purl.to_string()}#{number}",
        licenses=[LicenseFactory().make_from_string(package.license)] if package.license else (),
        properties=properties,
    )


def _named(package: Package, system: Distribution) -> tuple[str | None, str]:
    """Return namespace and name as purl has them."""
    if package.kind in _NAMESPACES:
        return system.id or _NAMESPACES[package.kind], package.name
    if package.kind == "golang" and "/" in package.name:
        place, _, name = package.name.rpartition("/")
        return place, name
    if package.kind == "npm" and package.name.startswith("@") and "/" in package.name:
        scope, _, name = package.name.partition("/")
        return scope, name
    return None, package.name


def _time(created: str) -> datetime:
    try:
        return datetime.fromisoformat((created or _EPOCH).replace("Z", "+00:00"))
    except ValueError:
        return datetime.fromisoformat(_EPOCH)
