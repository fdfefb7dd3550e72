"""What a Debian base is made of; the making itself is in tests/e2e."""

import os
import select
from pathlib import Path

import pytest

from buildkit.base import debian, tool
from buildkit.base.apt import Source
from buildkit.errors import ImageError, UsageError


def _machine(tmp_path: Path, release: str) -> str:
    (tmp_path / "etc/apt").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text(release)
    (tmp_path / "etc/apt/sources.list").write_text("deb http://m.example/debian bookworm main\n")
    return str(tmp_path)


def _tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in names:
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))


def test_suite_and_mirror_are_the_machines_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tools(tmp_path, monkeypatch, "mmdebstrap")
    root = _machine(tmp_path / "root", "ID=debian\nVERSION_CODENAME=bookworm\n")

    base = debian.plan(suite="", packages=["gcc", "gcc"], mirrors=[], privileged=False, root=root)

    assert base.suite == "bookworm"
    assert base.packages == ("gcc",)
    assert base.sources == (Source("http://m.example/debian", "bookworm", ("main",)),)
    assert base.tool == "mmdebstrap"


def test_a_machine_that_names_no_suite_needs_one(tmp_path: Path) -> None:
    root = _machine(tmp_path, "ID=arch\n")
    with pytest.raises(UsageError, match="does not say which Debian suite"):
        debian.plan(suite="", packages=[], mirrors=[], privileged=True, root=root)


@pytest.mark.parametrize("suite", ["-x", "../x", "a b", "A"])
def test_impossible_suites_are_refused(suite: str) -> None:
    with pytest.raises(UsageError, match="not the name of a Debian suite"):
        debian.plan(suite=suite, packages=[], mirrors=[], privileged=True)


@pytest.mark.parametrize("package", ["-f", "./x.deb", "a b", "?essential", "x,y"])
def test_impossible_packages_are_refused(package: str) -> None:
    with pytest.raises(UsageError, match="not the name of a Debian package"):
        debian.plan(suite="bookworm", packages=[package], mirrors=[], privileged=True)


def test_a_wrong_mirror_is_refused_without_telling_its_password() -> None:
    with pytest.raises(UsageError) as caught:
        debian.plan(suite="bookworm", packages=[], mirrors=["http://u:secret@m x"], privileged=True)
    assert "secret" not in caught.value.message


def test_without_a_tool_the_hint_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ImageError, match="neither mmdebstrap nor debootstrap") as caught:
        debian.plan(suite="bookworm", packages=[], mirrors=[], privileged=True)
    assert "apt-get install mmdebstrap" in caught.value.hint


def test_debootstrap_is_for_root_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, **_: name if name == "debootstrap" else None)
    assert debian.plan(suite="sid", packages=[], mirrors=[], privileged=True).tool == "debootstrap"
    with pytest.raises(ImageError, match="as root only"):
        debian.plan(suite="sid", packages=[], mirrors=[], privileged=False)


def test_what_a_tool_says_is_passed_on_and_its_failure_is_an_error() -> None:
    said: list[str] = []
    with pytest.raises(ImageError) as caught:
        tool.run(
            ["sh", "-c", "echo one; echo two >&2; exit 3"],
            {"PATH": "/usr/bin:/bin"},
            said.append,
            hint=lambda tail: f"saw {len(tail)}",
        )
    assert said == ["one", "two"]
    assert caught.value.message == "sh failed with status 3"
    assert caught.value.hint == "saw 2"


def test_where_nobody_listened_the_error_tells_the_last_lines() -> None:
    with pytest.raises(ImageError, match="status 3\none\ntwo"):
        tool.run(
            ["sh", "-c", "echo one; echo two; exit 3"],
            {"PATH": "/usr/bin:/bin"},
            None,
            hint=lambda _: "",
        )


def test_an_interrupted_tool_is_ended_with_what_it_started() -> None:
    started: list[int] = []

    def interrupt(line: str) -> None:
        started.append(os.pidfd_open(int(line)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tool.run(
            ["sh", "-c", "sleep 1000 & echo $!; wait"],
            {"PATH": "/usr/bin:/bin"},
            interrupt,
            hint=lambda _: "",
        )
    poll = select.poll()
    poll.register(started[0], select.POLLIN)
    assert poll.poll(10_000), "what the tool started is still there"
    os.close(started[0])


def test_installed_packages_are_listed(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: b\nStatus: install ok installed\nVersion: 1:2\nArchitecture: all\n"
        "Description: x\n more: text\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n"
        "Package: a\nStatus: install ok installed\nVersion: 3\nArchitecture: amd64\n"
    )
    assert tool.installed_packages(str(tmp_path)) == ("a 3 amd64", "b 1:2 all")
