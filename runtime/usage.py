"""What a control group has used, as its files tell.

In: directories of a group. Out: `Usage`. Source: the kernel's cgroup-v2.rst and cgroup-v1/*.
"""

from __future__ import annotations

from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Usage(NamedTuple):
    """What a group has used; bytes and seconds, 0 where it is not counted.

    `refused` says how many processes could not be made because of `process_limit`.
    """

    peak_memory: int = 0
    memory_limit: int = 0
    oom_kills: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    refused: int = 0
    process_limit: int = 0


def _refused(directory: str) -> tuple[int, int]:
    """Return how many processes a limit has refused, and the limit."""
    limit = number(f"{directory}/pids.max") if directory else 0
    return (field(text_of(f"{directory}/pids.events"), "max") if limit else 0), limit


def of_unified(directory: str) -> Usage:
    """Return what a group of version 2 has used."""
    refused, limit = _refused(directory)
    read = written = 0
    for word in text_of(f"{directory}/io.stat").split():
        key, _, value = word.partition("=")
        if key == "rbytes":
            read += int(value)
        elif key == "wbytes":
            written += int(value)
    return Usage(
        refused=refused,
        process_limit=limit,
        peak_memory=number(f"{directory}/memory.peak"),
        memory_limit=number(f"{directory}/memory.max"),
        oom_kills=field(text_of(f"{directory}/memory.events"), "oom_kill"),
        read_bytes=read,
        written_bytes=written,
    )


def of_legacy(directories: Mapping[str, str]) -> Usage:
    """Return what a group of version 1 has used; `directories` by controller."""
    memory = directories.get("memory")
    refused, limit = _refused(directories.get("pids", ""))
    if memory is None:
        return Usage(refused=refused, process_limit=limit)
    return Usage(
        refused=refused,
        process_limit=limit,
        peak_memory=number(f"{memory}/memory.max_usage_in_bytes"),
        memory_limit=number(f"{memory}/memory.limit_in_bytes"),
        oom_kills=field(text_of(f"{memory}/memory.oom_control"), "oom_kill"),
    )


def number(path: str) -> int:
    """Return the number in a file, 0 for `max` and for no file."""
    text = text_of(path).strip()
    return int(text) if text.isdecimal() else 0


def field(text: str, key: str) -> int:
    """Return the number that stands behind a word at the start of a line, 0 for none."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == key:
            return int(words[1])
    return 0


def text_of(path: str) -> str:
    """Return the text of a file, nothing for no file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
