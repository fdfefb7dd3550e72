"""This machine's apt configuration as values."""

from pathlib import Path

import pytest

from buildkit.base.apt import (
    Source,
    chosen_options,
    for_suite,
    read_sources,
    without_credentials,
)

KEY = "/usr/share/keyrings/debian.gpg"


def _machine(tmp_path: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = tmp_path / "etc/apt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path)


def test_lines_are_read_with_options_and_comments(tmp_path: Path) -> None:
    text = (
        "# nothing\n"
        f"deb [arch=amd64 signed-by={KEY}] http://mirror.example/debian bookworm main contrib # x\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/flat ./\n"
        "broken\n"
    )
    assert read_sources(_machine(tmp_path, {"sources.list": text})) == (
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib"), KEY),
        Source("http://mirror.example/flat", "./"),
    )


def test_stanzas_are_read_and_switched_off_ones_left_out(tmp_path: Path) -> None:
    text = (
        "Types: deb deb-src\nURIs: http://a.example/debian http://b.example/debian\n"
        f"Suites: bookworm\n  bookworm-updates\nComponents: main\nSigned-By: {KEY}\n"
        "\n# a comment\nTypes: deb\nURIs: http://off.example\nSuites: bookworm\nEnabled: no\n"
        "\nTypes: deb\nURIs: http://c.example\nSuites: x\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )
    found = read_sources(_machine(tmp_path, {"sources.list.d/debian.sources": text}))

    assert [(source.uri, source.suite) for source in found] == [
        ("http://a.example/debian", "bookworm"),
        ("http://a.example/debian", "bookworm-updates"),
        ("http://b.example/debian", "bookworm"),
        ("http://b.example/debian", "bookworm-updates"),
        ("http://c.example", "x"),
    ]
    assert found[0].signed_by == KEY
    assert found[-1].signed_by == ""


_LISTED = (
    Source("http://m.example/debian", "bookworm", ("main",)),
    Source("http://m.example/debian", "bookworm-updates", ("main",)),
    Source("http://s.example/security", "bookworm-security", ("main",)),
    Source("http://pg.example", "bookworm-pgdg", ("main",)),
    Source("http://node.example", "nodistro", ("main",)),
)


@pytest.mark.parametrize(
    ("suite", "suites"),
    [
        ("bookworm", ["bookworm", "bookworm-updates", "bookworm-security"]),
        ("trixie", ["trixie", "trixie-updates", "trixie-security"]),
        ("sid", ["sid"]),
    ],
)
def test_a_suite_comes_from_the_machines_own_mirrors(suite: str, suites: list[str]) -> None:
    assert [source.suite for source in for_suite(_LISTED, suite, "bookworm")] == suites


def test_a_machine_of_no_suite_offers_nothing_for_another() -> None:
    assert for_suite(_LISTED, "trixie", "") == ()


def test_credentials_are_taken_out_of_addresses() -> None:
    assert without_credentials("deb http://user:pa%40ss@host/x y") == "deb http://host/x y"
    assert without_credentials("deb http://host/a@b y") == "deb http://host/a@b y"


def test_only_the_options_for_fetching_are_chosen() -> None:
    chosen = chosen_options(
        [
            'APT::Install-Recommends "0";',
            'Acquire::http::Proxy "http://proxy.example:3128";',
            'Acquire::https::CAInfo "/etc/ssl/ca.pem";',
            'Acquire::Check-Valid-Until "false";',
            'Acquire::IndexTargets::deb::Packages::MetaKey "x";',
            'Acquire::http::Empty "";',
            'DPkg::Pre-Install-Pkgs:: "/usr/bin/something";',
        ]
    )
    assert chosen[1:4] == (
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::CAInfo "/etc/ssl/ca.pem";',
        'Acquire::Check-Valid-Until "false";',
    )
    assert "something" not in str(chosen)
    assert "MetaKey" not in str(chosen)
