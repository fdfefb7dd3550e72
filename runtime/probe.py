"""What this kernel and this user may do, and why not.

In: the machine. Out: `Host`, the little that plans depend on, and `features`, the long list for
`pybuild doctor`.
"""

import os

from runtime import mounts
from runtime.plan import Host


def host() -> Host:
    """Return what plans depend on; cheap."""
    return Host(
        machine=os.uname().machine,
        initial_user_namespace=mounts.in_initial_user_namespace(),
        resolv_conf=_resolv_conf(),
        hosts=_read("/etc/hosts"),
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
