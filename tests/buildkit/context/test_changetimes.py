"""File systems without change times, by what the kernel says of mounts."""

import os

from buildkit.context.changetimes import devices_without, mounted_without

_MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 8:17 / /media/a\\040-\\040stick rw shared:7 - vfat /dev/sdb1 rw,fmask=0022
41 27 7:300 / /image ro - squashfs /dev/loop1 ro
42 27 0:60 /sub /far rw master:3 - fuse.sshfs host:/sub rw,user_id=0
43 27 0:61 / /vm rw - virtiofs share rw
"""


def test_fat_images_and_sshfs_have_none() -> None:
    wanted = {os.makedev(8, 17), os.makedev(7, 300), os.makedev(0, 60)}
    assert devices_without(_MOUNTS) == wanted
    assert devices_without("") == frozenset()


def test_where_tests_run_there_are_some(tmp_path: object) -> None:
    assert os.stat(str(tmp_path)).st_dev not in mounted_without()
