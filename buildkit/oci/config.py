"""The image config: what a container of the image starts with, its layers, its history.

In: bytes of a config blob, or values of the frontend. Out: values, or the bytes whose sha256 is
the image ID. Source: image-spec config.md; `Healthcheck`, `OnBuild`, `Shell` and `ArgsEscaped`
are Docker's (moby docker-image-spec, "v1.3") and are kept, as Moby BuildKit keeps them.
Encoding: members in the order in which Moby BuildKit's exporter writes them.
"""

from __future__ import annotations

from buildkit.oci.fields import DocumentError, Fields, encode
from buildkit.oci.platforms import Platform
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from buildkit.oci.digest import Digest


class Healthcheck(NamedTuple):
    """HEALTHCHECK. Durations in nanoseconds, 0 for "the default"."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class History(NamedTuple):
    """One line of `history`; `created` is RFC 3339 or empty."""

    created: str
    created_by: str
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ContainerConfig(NamedTuple):
    """The `config` member. `env` holds `NAME=value`; `None` is "not set" where that differs.

    `exposed_ports` and `volumes` are sets in the document and sorted here; `labels` keep the
    order in which they were set until they are encoded.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    onbuild: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None


class ImageConfig(NamedTuple):
    """A whole config. `diff_ids` bottom-most first; `created` is RFC 3339 or empty."""

    platform: Platform
    created: str = ""
    author: str = ""
    config: ContainerConfig = ContainerConfig()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes, name: str = "config") -> Self:
        """Return the config that `data` holds. Raises DocumentError."""
        fields = Fields.parse(data, name)
        root = fields.object("rootfs")
        if root is None:
            raise DocumentError(f"{name}.rootfs: missing")
        if root.text("type", "layers") != "layers":
            raise DocumentError(f"{root.path}.type: not layers")
        inner = fields.object("config")
        return cls(
            platform=_platform(fields),
            created=fields.text("created", ""),
            author=fields.text("author", ""),
            config=ContainerConfig() if inner is None else _container(inner),
            diff_ids=root.digests("diff_ids"),
            history=tuple(_history(item) for item in fields.objects("history")),
            os_version=fields.text("os.version", ""),
            os_features=fields.texts("os.features"),
        )

    def encode(self) -> bytes:
        """Return the config blob: the same bytes for the same value, always."""
        document = {
            "architecture": self.platform.architecture,
            "author": self.author,
            "config": _container_document(self.config),
            "created": self.created,
            "history": [_history_document(item) for item in self.history],
            "os": self.platform.os,
            "os.features": list(self.os_features),
            "os.version": self.os_version,
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
            "variant": self.platform.variant,
        }
        kept = ("architecture", "os", "config", "rootfs")
        return encode({key: value for key, value in document.items() if value or key in kept})


class ResolvedImage(NamedTuple):
    """An image that was found: the reference as resolved, and its config with the digest of it."""

    reference: str
    config_digest: Digest
    config: ImageConfig


def _platform(fields: Fields) -> Platform:
    return Platform.normal(
        fields.text("os", "linux") or "linux",
        fields.text("architecture", "") or Platform.host().architecture,
        fields.text("variant", ""),
    )


def _container(fields: Fields) -> ContainerConfig:
    check = fields.object("Healthcheck")
    return ContainerConfig(
        user=fields.text("User", ""),
        exposed_ports=fields.names("ExposedPorts"),
        env=fields.texts("Env"),
        entrypoint=fields.texts("Entrypoint") or None,
        cmd=fields.texts("Cmd") or None,
        volumes=fields.names("Volumes"),
        working_dir=fields.text("WorkingDir", ""),
        labels=fields.pairs("Labels"),
        stop_signal=fields.text("StopSignal", ""),
        args_escaped=fields.boolean("ArgsEscaped"),
        healthcheck=None if check is None else _healthcheck(check),
        onbuild=fields.texts("OnBuild"),
        shell=fields.texts("Shell") or None,
    )


def _healthcheck(fields: Fields) -> Healthcheck:
    return Healthcheck(
        test=fields.texts("Test"),
        interval=fields.integer("Interval", 0),
        timeout=fields.integer("Timeout", 0),
        start_period=fields.integer("StartPeriod", 0),
        start_interval=fields.integer("StartInterval", 0),
        retries=fields.integer("Retries", 0),
    )


def _history(fields: Fields) -> History:
    return History(
        created=fields.text("created", ""),
        created_by=fields.text("created_by", ""),
        author=fields.text("author", ""),
        comment=fields.text("comment", ""),
        empty_layer=fields.boolean("empty_layer"),
    )


def _container_document(config: ContainerConfig) -> dict[str, Any]:
    check = config.healthcheck
    document: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {name: {} for name in sorted(config.exposed_ports)},
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint or ()),
        "Cmd": list(config.cmd or ()),
        "Volumes": {name: {} for name in sorted(config.volumes)},
        "WorkingDir": config.working_dir,
        "Labels": dict(sorted(config.labels)),
        "StopSignal": config.stop_signal,
        "ArgsEscaped": config.args_escaped,
        "Healthcheck": None if check is None else _healthcheck_document(check),
        "OnBuild": list(config.onbuild),
        "Shell": list(config.shell or ()),
    }
    return _without_empty(document, keep="Healthcheck" if check is not None else "")


def _healthcheck_document(check: Healthcheck) -> dict[str, Any]:
    return _without_empty(
        {
            "Test": list(check.test),
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
    )


def _history_document(item: History) -> dict[str, Any]:
    return _without_empty(
        {
            "created": item.created,
            "created_by": item.created_by,
            "author": item.author,
            "comment": item.comment,
            "empty_layer": item.empty_layer,
        }
    )


def _without_empty(document: dict[str, Any], keep: str = "") -> dict[str, Any]:
    return {key: value for key, value in document.items() if value or key == keep}
