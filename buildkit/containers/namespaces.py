"""Which namespaces a container shares: the values of `--ipc`, `--uts`, `--cgroupns`, `--pid`.

In: their texts. Out: `Wanted`, or UsageError that says what there is. Imported where one of these
options is given. Source: podman-run(1).
"""

from __future__ import annotations

import os

from buildkit.errors import UsageError
from runtime.typed import Literal
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


Name: TypeAlias = Literal["ipc", "uts", "cgroup", "network"]


class Wanted(NamedTuple):
    """One namespace: the host's, that of the container `where` (name or ID), or at the path."""

    namespace: Name
    kind: Literal["host", "container", "path"]
    where: str = ""


def parse(option: str, namespace: Name, text: str) -> Wanted | None:
    """Parse the value of an option; None for a namespace of its own."""
    kind, _, where = text.partition(":")
    if text in ("", "private") or (text == "shareable" and namespace == "ipc"):
        return None
    if text == "host":
        return Wanted(namespace, "host")
    if kind == "container" and where:
        return Wanted(namespace, "container", where)
    if kind == "ns" and where:
        return Wanted(namespace, "path", os.path.abspath(where))
    raise UsageError(
        f"unknown {option} {text!r}", hint="there are host, private, container:NAME and ns:PATH"
    )


def check_pid(text: str) -> None:
    """Refuse any pid namespace but one of the container's own."""
    if text in ("", "private"):
        return
    if text == "host" or text.startswith(("container:", "ns:")):
        raise UsageError(
            f"--pid={text} is refused: nothing of a container outlives it, because its pid "
            "namespace ends with it (docs/security.md, S9)",
            hint="'pybuild exec' runs a program beside those of a container",
        )
    raise UsageError(f"unknown --pid {text!r}", hint="there is private")
