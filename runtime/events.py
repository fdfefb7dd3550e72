"""What happens to containers, a line each, for those who watch.

In: events, from monitors and commands. Out: JSON lines in the file `events` beside the containers'
directories, and `events.1` for those of before. Each line is one write, so writers need no lock.
"""

from __future__ import annotations

import os
import time

from runtime import plain_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


_LARGEST = 4 << 20


def record(containers: str, action: str, identity: str, attributes: Mapping[str, str]) -> None:
    """Add an event. That it cannot be written down must not hinder what happens."""
    event = {
        "time": time.time_ns(),
        "Type": "container",
        "Action": action,
        "id": identity,
        "Attributes": dict(attributes),
    }
    path = f"{containers}/events"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, plain_json.dumps(event).encode() + b"\n")
            if os.fstat(fd).st_size > _LARGEST:
                os.rename(path, f"{path}.1")
        finally:
            os.close(fd)
    except OSError:
        return
