"""Changes of a config by instructions, as `commit --change` takes them.

In: a `ContainerConfig` and lines such as `CMD ["a"]` or `ENV A=b`. Out: the changed config.
Source: the reference of docker commit, "--change"; only the instructions that change a config.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from buildkit.errors import UsageError
from buildkit.oci.config import ContainerConfig

_KNOWN = (
    *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    "ONBUILD",
)


def changed(config: ContainerConfig, lines: Sequence[str]) -> ContainerConfig:
    """Return the config with all the changes made. Raises UsageError."""
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        config = _changed(config, word.upper(), rest.strip(), line)
    return config


def _changed(config: ContainerConfig, word: str, rest: str, line: str) -> ContainerConfig:
    if word not in _KNOWN or (not rest and word not in ("CMD", "ENTRYPOINT")):
        raise UsageError(f"invalid change {line!r}", hint=f"known are {', '.join(_KNOWN)}")
    match word:
        case "CMD":
            return config._replace(cmd=_command(rest))
        case "ENTRYPOINT":
            return config._replace(entrypoint=_command(rest))
        case "USER":
            return config._replace(user=rest)
        case "WORKDIR":
            return config._replace(working_dir=rest)
        case "STOPSIGNAL":
            return config._replace(stop_signal=rest)
        case "ONBUILD":
            return config._replace(onbuild=(*config.onbuild, rest))
        case "ENV" | "LABEL":
            return _pairs(config, word, rest, line)
        case _:
            return _sets(config, word, rest, line)


def _command(text: str) -> tuple[str, ...] | None:
    words = _array(text)
    if words is not None:
        return words or None
    return ("/bin/sh", "-c", text) if text else None


def _array(text: str) -> tuple[str, ...] | None:
    """Return the words of a JSON array of texts, None for anything else."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(value)
    return None


def _pairs(config: ContainerConfig, word: str, rest: str, line: str) -> ContainerConfig:
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"invalid change {line!r}: {error}") from error
    if "=" not in words[0] and len(words) > 1:
        key, _, value = rest.partition(" ")
        words = [f"{key}={value.strip()}"]
    pairs = {text.partition("=")[0]: text.partition("=")[2] for text in words}
    if "" in pairs:
        raise UsageError(f"invalid change {line!r}", hint="the form is NAME=VALUE")
    if word == "LABEL":
        return config._replace(labels=tuple({**dict(config.labels), **pairs}.items()))
    kept = [entry for entry in config.env if entry.partition("=")[0] not in pairs]
    return config._replace(env=(*kept, *(f"{key}={value}" for key, value in pairs.items())))


def _sets(config: ContainerConfig, word: str, rest: str, line: str) -> ContainerConfig:
    words = _array(rest) or tuple(rest.split())
    if word == "VOLUME":
        return config._replace(volumes=tuple(sorted({*config.volumes, *words})))
    ports = [text if "/" in text else f"{text}/tcp" for text in words]
    numbers = [port.partition("/")[0].replace("-", "") for port in ports]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise UsageError(f"invalid port in {line!r}", hint="as in EXPOSE 8080 or EXPOSE 53/udp")
    return config._replace(exposed_ports=tuple(sorted({*config.exposed_ports, *ports})))
