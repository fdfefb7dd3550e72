"""Cleaning a Debian tree."""

import os
from pathlib import Path

from buildkit.base.clean import clean


def _tree(top: Path) -> Path:
    files = {
        "etc/machine-id": "abc\n",
        "etc/hostname": "builder\n",
        "etc/resolv.conf": "nameserver 192.0.2.1\n",
        "etc/apt/apt.conf.d/99mmdebstrap": 'Acquire::http::Proxy "http://me:secret@proxy";\n',
        "etc/apt/apt.conf.d/70debconf": "package's own\n",
        "etc/apt/sources.list.d/0000sources.list": "deb http://me:secret@mirror x main\n",
        "etc/shadow": "root:*:99999:0:99999:7:::\nold:*:3:0:99999:7:::\n",
        "etc/passwd-": "old\n",
        "var/lib/apt/lists/mirror_Packages": "lots\n",
        "var/cache/apt/archives/x.deb": "lots\n",
        "var/log/apt/history.log": "today\n",
        "var/log/btmp": "",
        "tmp/left": "x",
        "usr/bin/tool": "tool",
    }
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
        os.utime(top / name, (86400 * 100, 86400 * 100))
    return top


def test_what_belongs_to_the_machine_or_the_moment_goes(tmp_path: Path) -> None:
    top = _tree(tmp_path)

    newest = clean(str(top), sources=("deb http://mirror x main",), before=2_000_000_000)

    left = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
    assert left == [
        "etc/apt/apt.conf.d/70debconf",
        "etc/apt/sources.list",
        "etc/hostname",
        "etc/machine-id",
        "etc/resolv.conf",
        "etc/shadow",
        "usr/bin/tool",
        "var/log/btmp",
    ]
    for blank in ("etc/hostname", "etc/machine-id", "etc/resolv.conf"):
        assert (top / blank).read_text() == ""
    assert (top / "etc/apt/sources.list").read_text() == "deb http://mirror x main\n"
    assert "secret" not in "".join(path.read_text() for path in top.rglob("*") if path.is_file())
    assert newest >= 86400 * 100


def test_the_day_of_the_last_change_of_a_password_is_not_today(tmp_path: Path) -> None:
    top = _tree(tmp_path)

    clean(str(top), sources=(), before=86400 * 100 + 1)

    assert (top / "etc/shadow").read_text().splitlines() == [
        "root:*:100:0:99999:7:::",
        "old:*:3:0:99999:7:::",
    ]


def test_a_link_out_of_the_tree_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "log").mkdir(parents=True)
    (outside / "log/kept.log").write_text("kept")
    top = _tree(tmp_path / "tree")
    for name in ("run", "dev"):
        (top / name).symlink_to(outside)
    (top / "var/log/apt/history.log").unlink()
    (top / "var/log/apt").rmdir()
    (top / "var/log/apt").symlink_to(outside / "log")

    clean(str(top), sources=(), before=2_000_000_000)

    assert (outside / "log/kept.log").read_text() == "kept"
