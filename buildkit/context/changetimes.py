"""File systems that have no change times (ctime) of their own, and so hide changes.

In: the text of /proc/self/mountinfo. Out: device numbers. On FAT and over sshfs a file's ctime is
its mtime, which anybody may set; in images that are only read it is what the maker of the image
wrote, and another image at the same place may say the same of other files. What lies on them is
never taken for unchanged. Source: proc_pid_mountinfo(5); fs/fat/inode.c, "fat_truncate_time".
"""

from __future__ import annotations

import os

_WITHOUT = frozenset(
    (
        *("vfat", "msdos", "exfat", "hfs"),
        *("squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs"),
        *("fuse.sshfs", "fuse.rclone", "fuse.gcsfuse", "fuse.squashfuse", "fuse.fuseiso"),
    )
)


def devices_without(mountinfo: str) -> frozenset[int]:
    """Return the devices (st_dev) of the file systems without change times."""
    found: set[int] = set()
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] in _WITHOUT:
            major, _, minor = before.split(" ")[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


def mounted_without() -> frozenset[int]:
    """Return those of the file systems that this process sees; none where it cannot say."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return devices_without(file.read())
    except OSError:
        return frozenset()
