"""A container as `docker inspect` shows it.

In: a container. Out: a document, with docker's names. What docker has and we have not (drivers,
plugins) is left out.
"""

from __future__ import annotations

import os

from buildkit.containers.store import Container
from buildkit.containers.volumes import VolumeStore
from buildkit.state.root import StateRoot
from runtime import container
from runtime.container import HealthCheck, Port, State, Task
from runtime.idmap import IdMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_NANO = 1_000_000_000
_NEVER = "0001-01-01T00:00:00Z"


def inspection(root: StateRoot, one: Container) -> dict[str, Any]:
    """Return the document of a container."""
    record, state = one.record, one.state
    task = container.read_task(one.directory)
    process = task.spec.process
    return {
        "Id": record.identity,
        "Created": record.created,
        "Path": record.args[0],
        "Args": list(record.args[1:]),
        "State": _state(state, checked=task.health is not None),
        "Image": record.config,
        "Name": record.name,
        "RestartCount": state.restarts,
        "LogPath": f"{one.directory}/log",
        "ResolvConfPath": "",
        "HostsPath": f"{one.directory}/hosts",
        "HostConfig": _host_config(task),
        "Mounts": _mounts(root, one),
        "Config": {
            "Hostname": task.spec.hostname,
            "User": process.user,
            "Tty": record.terminal,
            "OpenStdin": task.interactive,
            "Env": [f"{name}={value}" for name, value in process.env],
            "Cmd": list(record.args),
            "Image": record.image,
            "WorkingDir": process.cwd,
            "Labels": dict(record.labels),
            "Annotations": dict(record.annotations),
            "ExposedPorts": {port: {} for port in record.exposed},
            "StopSignal": task.stop_signal,
            "StopTimeout": task.stop_timeout,
            "Healthcheck": _check(task.health),
        },
        "NetworkSettings": {
            "IPAddress": state.address,
            "Ports": _ports(state.ports),
            "Networks": {_network_mode(task): {"IPAddress": state.address}},
        },
    }


def _state(state: State, *, checked: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "Status": state.status,
        "Running": state.status in ("running", "paused"),
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom,
        "Pid": state.pid,
        "ExitCode": state.code,
        "Error": state.error,
        "StartedAt": state.started or _NEVER,
        "FinishedAt": state.finished or _NEVER,
    }
    if checked and state.started:
        # With docker what has ended is not healthy, whatever it was.
        unknown = "starting" if document["Running"] else "unhealthy"
        document["Health"] = {
            "Status": state.health or unknown,
            "FailingStreak": state.failing,
            "Log": [
                {"Start": c.started, "End": c.ended, "ExitCode": c.code, "Output": c.output}
                for c in state.checks
            ],
        }
    return document


def _host_config(task: Task) -> dict[str, Any]:
    spec, resources = task.spec, task.spec.resources
    return {
        "NetworkMode": _network_mode(task),
        "AutoRemove": task.remove,
        "RestartPolicy": {
            "Name": task.restart.policy,
            "MaximumRetryCount": task.restart.tries,
        },
        "UsernsMode": "" if spec.ids is None else "private",
        "IDMappings": _id_mappings(spec.ids),
        "Privileged": spec.security == "insecure",
        "ReadonlyRootfs": spec.root.readonly,
        "Capabilities": list(spec.capabilities),
        "Memory": resources.memory or 0,
        "MemorySwap": resources.memory_swap or 0,
        "NanoCpus": int((resources.cpus or 0) * _NANO),
        "CpusetCpus": resources.cpuset_cpus,
        "PidsLimit": resources.pids or 0,
        "ShmSize": spec.shm_size,
        "ExtraHosts": [f"{name}:{address}" for name, address in spec.extra_hosts],
        "Dns": list(spec.resolver.servers),
        "Sysctls": dict(spec.sysctls),
        "LogConfig": {"max-size": task.logging.size, "max-file": task.logging.files},
        "MaskedPaths": list(spec.masked_paths),
        "ReadonlyPaths": list(spec.readonly_paths),
    }


def _id_mappings(ids: IdMap | None) -> dict[str, list[str]]:
    """Return the maps of a user namespace as podman shows them, CONTAINER:HOST:AMOUNT."""
    if ids is None:
        return {}
    return {
        name: [f"{one.inside}:{one.outside}:{one.length}" for one in ranges]
        for name, ranges in (("UidMap", ids.users), ("GidMap", ids.groups))
    }


def _network_mode(task: Task) -> str:
    return f"container:{os.path.basename(task.beside)}" if task.beside else task.spec.network


def _mounts(root: StateRoot, one: Container) -> list[dict[str, Any]]:
    volumes = {volume.target: volume for volume in one.record.volumes}
    store = VolumeStore(root)
    found = []
    for mount in one.record.mounts:
        volume = volumes.get(mount.target)
        document = {"Type": mount.kind, "Destination": mount.target, "RW": not mount.readonly}
        if volume is not None:
            document.update(Name=volume.name, Source=store.path(volume.name))
        elif mount.kind in ("bind", "image"):
            document["Source"] = mount.source
        if mount.path:
            document["SubPath"] = mount.path
        found.append(document)
    return found


def _ports(ports: tuple[Port, ...]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        address = port.address or "0.0.0.0"  # noqa: S104 - shown, not listened on
        place = {"HostIp": address, "HostPort": str(port.outside)}
        found.setdefault(f"{port.inside}/{port.protocol}", []).append(place)
    return found


def _check(check: HealthCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "Test": ["CMD", *check.args],
        "Interval": int(check.interval * _NANO),
        "Timeout": int(check.timeout * _NANO),
        "StartPeriod": int(check.start_period * _NANO),
        "StartInterval": int(check.start_interval * _NANO),
        "Retries": check.retries,
    }
