"""Looking users up in the files of an image; docs/security.md, S8."""

import os
from pathlib import Path

import pytest

from runtime import accounts
from runtime.accounts import Account
from runtime.errors import UserError

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# a comment
broken:x:one:2
huge:x:4294967296:0::/:
daemon:x:1:1:daemon:/usr/sbin:
bob:x:1000:1000:Bob:/home/bob:/bin/sh
1001:x:55:55:a number as name:/n:
"""
GROUP = """\
root:x:0:
daemon:x:1:
staff:x:50:bob,root
users:x:100:alice
bob:x:1000:
bad:x:99999999999:bob
"""


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Account(0, 0, (0, 50), "/root")),
        ("root", Account(0, 0, (0, 50), "/root")),
        ("bob", Account(1000, 1000, (1000, 50), "/home/bob")),
        ("1000", Account(1000, 1000, (1000, 50), "/home/bob")),
        ("bob:staff", Account(1000, 50, (50,), "/home/bob")),
        ("bob:4711", Account(1000, 4711, (4711,), "/home/bob")),
        ("4711", Account(4711, 0, (0,), "/")),
        ("4711:4712", Account(4711, 4712, (4712,), "/")),
        ("0", Account(0, 0, (0, 50), "/root")),
        ("4294967294", Account(4294967294, 0, (0,), "/")),
        ("1001", Account(55, 55, (55,), "/n")),
    ],
)
def test_users_are_found_by_name_and_number(user: str, expected: Account) -> None:
    assert accounts.find(PASSWD, GROUP, user) == expected


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("alice", "unable to find user alice: no matching entries in passwd file"),
        ("bob:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("broken", "no matching entries"),
        ("huge", "no matching entries"),
        ("-1", "no matching entries"),
        ("4294967295", "ids go from 0 to 4294967294"),
        ("bob:99999999999999999999", "ids go from 0 to 4294967294"),
        ("٣", "ids go|no matching entries"),
    ],
)
def test_what_is_no_user_is_refused(user: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        accounts.find(PASSWD, GROUP, user)


def test_added_groups_are_supplementary() -> None:
    account = accounts.find(PASSWD, GROUP, "bob", ("users", "7"))
    assert account.groups == (1000, 50, 100, 7)


def test_an_image_without_files_has_root() -> None:
    assert accounts.find("", "", "") == Account(0, 0, (0,), "/")


def test_links_of_the_image_stay_inside_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/../../real")
    (tmp_path / "real").write_text("eve:x:7:7::/e:\n")
    root = os.open(tmp_path, os.O_PATH)
    assert accounts.lookup(root, "eve").uid == 7
    os.close(root)


def test_a_fifo_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(UserError, match="not a regular file"):
        accounts.lookup(root, "eve")
    os.close(root)
