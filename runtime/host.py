"""The little of the machine that plans depend on.

In: files of the host. Out: `Host`.
"""

from __future__ import annotations

import os

from runtime import mounts, owners
from runtime.values import NamedTuple


class Host(NamedTuple):
    """What a plan depends on beside the spec.

    `single_id`: there is one id, and owners of files are recorded. `resolv_conf` and `hosts` are
    the texts of the host's files.
    """

    machine: str
    initial_user_namespace: bool = True
    single_id: bool = False
    resolv_conf: str = ""
    hosts: str = ""
    release: str = ""
    """Of the kernel, as uname(2) has it."""


def here() -> Host:
    """Return what plans depend on, for this process."""
    kernel = os.uname()
    return Host(
        machine=kernel.machine,
        initial_user_namespace=mounts.in_initial_user_namespace(),
        single_id=owners.are_recorded(),
        resolv_conf=_resolv_conf(),
        hosts=_read("/etc/hosts"),
        release=kernel.release,
    )


def _resolv_conf() -> str:
    """Return the host's resolv.conf, by preference with the servers behind a local one."""
    text = _read("/etc/resolv.conf")
    if "nameserver 127.0.0.53" in text:
        return _read("/run/systemd/resolve/resolv.conf") or text
    return text


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
