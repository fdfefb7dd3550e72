"""The health check of a new container.

In: what the user says of it, and the image's config. Out: a `HealthCheck`, or None. Imported where
there is one. Source: image-spec's extension by docker, "Healthcheck".
"""

from __future__ import annotations

from buildkit.oci.config import ContainerConfig, Healthcheck
from runtime.container import HealthCheck

_SECOND = 1_000_000_000


def chosen(own: HealthCheck | None, config: ContainerConfig) -> HealthCheck | None:
    """Return the check: what the user says of it, over what the image says."""
    image = None if config.healthcheck is None else health_of(config.healthcheck, config.shell)
    if own is None or image is None:
        return image if own is None else (own if own.args else None)
    changed = {
        name: value
        for name, value in own._asdict().items()
        if value != HealthCheck(())._asdict()[name]
    }
    return image._replace(**changed)


def health_of(check: Healthcheck, shell: tuple[str, ...] | None = None) -> HealthCheck | None:
    """Return an image's HEALTHCHECK, None for `NONE`."""
    kind, args = check.test[:1], check.test[1:]
    if kind == ("CMD-SHELL",):
        args = (*(shell or ("/bin/sh", "-c")), *args)
    elif kind != ("CMD",):
        return None
    default = HealthCheck(args)
    return HealthCheck(
        args=args,
        interval=check.interval / _SECOND or default.interval,
        timeout=check.timeout / _SECOND or default.timeout,
        start_period=check.start_period / _SECOND,
        start_interval=check.start_interval / _SECOND or default.start_interval,
        retries=check.retries or default.retries,
    )
