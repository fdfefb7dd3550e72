"""Events as they come, also behind a file that has become too large and was put aside."""

import json
import os
import time
from pathlib import Path

from buildkit.cli import events


def line(number: int) -> bytes:
    return json.dumps({"time": number}).encode() + b"\n"


def test_nothing_is_lost_where_the_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "events"
    (tmp_path / "events.1").write_bytes(line(1) + b"no event\n[]\n")
    path.write_bytes(line(2) + line(3)[:5])
    coming = events._events(str(path), wait=True, until=0.0)
    assert [next(coming)["time"] for _ in range(2)] == [1, 2]
    with path.open("ab") as file:
        file.write(line(3)[5:])
    assert next(coming)["time"] == 3
    with path.open("ab") as file:
        file.write(line(4))
    os.rename(path, tmp_path / "events.1")
    path.write_bytes(line(5))
    assert [next(coming)["time"] for _ in range(2)] == [4, 5]


def test_who_waits_does_so_before_there_is_anything(tmp_path: Path) -> None:
    path = str(tmp_path / "events")
    assert list(events._events(path, wait=False, until=0.0)) == []
    began = time.time()
    assert list(events._events(path, wait=True, until=began + 0.05)) == []
    assert time.time() > began + 0.05
