"""`pybuild check` and its like, from outside: formats, exit statuses, repairs, no store needed."""

import base64
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.tools import needs_tool
from tests.kernel import needs_root
from tests.program import TOP, Pybuild
from tests.web import commit, serving

BAD = "FROM scratch as Base\nENV a b\nCMD run\n"
RULES = ["StageNameCasing", "FromAsCasing", "LegacyKeyValueFormat", "JSONArgsRecommended"]
FIXED = "FROM scratch AS base\nENV a=b\nCMD run\n"
PAGE = "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"


@pytest.fixture
def pybuild(tmp_path: Path) -> Pybuild:
    """Return pybuild without a store, called from a directory of its own."""
    (tmp_path / "context").mkdir()
    return Pybuild(tmp_path / "root", tmp_path / "context")


def write(pybuild: Pybuild, text: str, name: str = "Dockerfile") -> Path:
    path = pybuild.cwd / name
    path.write_text(text, "utf-8")
    return path


def document(pybuild: Pybuild, *arguments: str) -> Any:
    return json.loads(pybuild(*arguments, "--format", "json").output)


def test_a_finding_is_shown_as_buildkit_shows_it(pybuild: Pybuild) -> None:
    write(pybuild, "FROM scratch\nCMD run\n")
    done = pybuild("check")
    assert done.status == 1
    assert done.errors == ""
    assert done.output == (
        "Check complete, 1 warning has been found!\n"
        f"\nWARNING: JSONArgsRecommended - {PAGE}\n"
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM scratch\n"
        "   2 | >>> CMD run\n"
        "     |         ^^^\n"
        "--------------------\n"
    )


def test_a_rule_of_our_own_is_explained_by_the_program(pybuild: Pybuild) -> None:
    write(pybuild, "FROM scratch\nADD x /\n")
    name = "AddInsteadOfCopy"
    assert f"\nWARNING: {name} - pybuild check --explain {name}\n" in pybuild("check").output
    (warning,) = document(pybuild, "check")["warnings"]
    assert (warning["ruleName"], "url" in warning) == (name, False)
    page = (TOP / "docs/lint" / f"{name}.md").read_text("utf-8")
    assert pybuild("check", "--explain", name) == (0, page, "")
    done = pybuild("check", "--explain", name[:-1])
    assert (done.status, f"(did you mean {name}?)" in done.errors) == (2, True)


def test_without_findings_the_status_is_0(pybuild: Pybuild) -> None:
    write(pybuild, 'FROM scratch\nCMD ["run"]\n')
    assert pybuild("check") == (0, "Check complete, no warnings found.\n", "")
    assert document(pybuild, "check")["warnings"] == []


def test_the_document_has_what_dockers_has(pybuild: Pybuild) -> None:
    write(pybuild, BAD)
    done = pybuild("build", "--check", "--format", "json", ".")
    assert done.status == 1
    found = json.loads(done.output)
    assert [one["ruleName"] for one in found["warnings"]] == RULES
    assert found["warnings"][3] == {
        "ruleName": "JSONArgsRecommended",
        "description": "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended"
        " behavior related to OS signals",
        "url": PAGE,
        "detail": "JSON arguments recommended for CMD to prevent unintended behavior related to OS"
        " signals",
        "line": 3,
        "location": {"sourceIndex": 0, "ranges": [{"start": {"line": 3}, "end": {"line": 3}}]},
    }
    (source,) = found["sources"]
    assert source["filename"] == "Dockerfile"
    assert base64.b64decode(source["data"]).decode() == BAD
    assert found["buildError"] is None


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("FROM scratch\nFOO\n", "dockerfile parse error on line 2: unknown instruction: FOO", 2),
        ("FROM scratch\nCOPY --from=7 a b\n", "invalid stage index 7", 2),
        ("# check=foo=bar\nFROM scratch\n", 'invalid check option "foo"', 1),
        ("# nothing\n", "file with no instructions", None),
    ],
)
def test_what_a_build_would_fail_with_is_told(
    pybuild: Pybuild, text: str, message: str, line: int | None
) -> None:
    write(pybuild, text)
    found = document(pybuild, "check")
    assert message in found["buildError"]["message"]
    if line is None:
        assert "location" not in found["buildError"]
    else:
        assert found["buildError"]["location"]["ranges"][0]["start"] == {"line": line}
    done = pybuild("check")
    assert done.status == 1
    assert message in done.errors
    assert "no warnings" not in done.output


def test_sarif_names_rules_places_and_levels(pybuild: Pybuild) -> None:
    write(pybuild, "FROM scratch\nUSER a\nADD x /\nCMD run\n")
    done = pybuild("check", "--format", "sarif")
    assert done.status == 1
    found = json.loads(done.output)
    assert found["version"] == "2.1.0"
    (run,) = found["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [
        "AddInsteadOfCopy",
        "JSONArgsRecommended",
    ]
    advice, warning = run["results"]
    assert (advice["level"], warning["level"]) == ("note", "warning")
    assert warning["ruleId"] == "JSONArgsRecommended"
    assert warning["ruleIndex"] == 1
    assert warning["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "Dockerfile"},
                "region": {"startLine": 4, "endLine": 4, "startColumn": 5, "endColumn": 8},
            }
        }
    ]


def test_a_fix_changes_the_file_and_shows_how(pybuild: Pybuild) -> None:
    path = write(pybuild, BAD)
    path.chmod(0o640)
    done = pybuild("check", "--fix", "--format", "json")
    assert path.read_text() == FIXED
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "-FROM scratch as Base\n" in done.errors
    assert "+FROM scratch AS base\n" in done.errors
    assert "repaired LegacyKeyValueFormat" in done.errors
    left = json.loads(done.output)["warnings"]
    assert [one["ruleName"] for one in left] == ["JSONArgsRecommended"]
    assert os.listdir(pybuild.cwd) == ["Dockerfile"]


@needs_root
def test_a_fix_by_root_leaves_the_file_to_its_owner(pybuild: Pybuild) -> None:
    path = write(pybuild, BAD)
    os.chown(path, 1234, 2345)
    pybuild("check", "--fix")
    assert path.read_text() == FIXED
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_a_fix_keeps_byte_order_mark_and_line_ends(pybuild: Pybuild) -> None:
    path = pybuild.cwd / "Dockerfile"
    path.write_bytes(b"\xef\xbb\xbfFROM scratch as b\r\nENV a b\r\n")
    assert pybuild("check", "--fix").status == 0
    assert path.read_bytes() == b"\xef\xbb\xbfFROM scratch AS b\r\nENV a=b\r\n"


def test_a_fix_follows_a_link(pybuild: Pybuild) -> None:
    real = write(pybuild, BAD, "real")
    (pybuild.cwd / "Dockerfile").symlink_to("real")
    pybuild("check", "--fix")
    assert real.read_text() == FIXED
    assert (pybuild.cwd / "Dockerfile").is_symlink()


def test_what_is_no_utf8_is_not_repaired(pybuild: Pybuild) -> None:
    path = pybuild.cwd / "Dockerfile"
    path.write_bytes(b"FROM scratch as b\n# \xff\n")
    done = pybuild("check", "--fix")
    assert done.status == 2
    assert "not UTF-8" in done.errors
    assert path.read_bytes() == b"FROM scratch as b\n# \xff\n"


def test_a_fix_of_standard_input_is_refused(pybuild: Pybuild) -> None:
    done = pybuild("check", "--fix", "-f", "-", ".", stdin=BAD)
    assert done.status == 2
    assert "--fix needs a file" in done.errors


def test_a_check_makes_no_store(pybuild: Pybuild) -> None:
    write(pybuild, "FROM alpine:3\nFROM mine:1\nCOPY $x y\n")
    assert pybuild("check").status == 1
    assert not pybuild.root.exists()


def test_a_base_that_nobody_knows_is_named(pybuild: Pybuild) -> None:
    write(pybuild, "FROM mine:1\nCOPY $x/ /y/\n")
    done = pybuild("check")
    assert done.status == 0
    assert "note: docker.io/library/mine:1 is not in the store" in done.output


def test_build_arguments_count(pybuild: Pybuild) -> None:
    write(pybuild, "ARG T=1\nFROM alpine:$T\nCMD run\n")
    skip = "BUILDKIT_DOCKERFILE_CHECK=skip=JSONArgsRecommended"
    found = document(pybuild, "check", "--build-arg", skip, "--build-arg", "U=1")
    assert [one["ruleName"] for one in found["warnings"]] == ["UnconsumedBuildArg"]
    assert "One or more build-args [U] were not consumed" in found["warnings"][0]["detail"]


def test_a_build_ends_with_its_warnings(pybuild: Pybuild) -> None:
    write(pybuild, "FROM scratch as b\nENV a b\n")
    for _ in range(2):  # found, then remembered
        done = pybuild("build", "--progress", "plain", ".").ok()
        assert (
            " 2 warnings found ('pybuild check' says more):\n"
            " - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)\n"
            ' - LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy'
            ' "ENV key value" format (line 2)\n'
        ) in done.errors


def test_a_build_fails_for_them_if_it_is_asked_to(pybuild: Pybuild) -> None:
    write(pybuild, "# check=error=true\nFROM scratch as b\nENV a b\n")
    done = pybuild("build", ".")
    assert done.status == 1
    assert "lint violation found for rules: FromAsCasing, LegacyKeyValueFormat" in done.errors
    override = "BUILDKIT_DOCKERFILE_CHECK=skip=all;error=true"
    assert pybuild("build", "--build-arg", override, ".").status == 0


def test_calls_of_build_are_the_commands(pybuild: Pybuild) -> None:
    write(pybuild, BAD)
    for method in ("check", "outline", "targets"):
        called = pybuild("build", f"--call={method},format=json", ".")
        assert called == pybuild(method, "--format", "json")
    assert pybuild("build", "--call=check,ignorestatus=true", ".").status == 0
    assert pybuild("build", "--call=lint", ".").status == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--call=chek"], "invalid --call 'chek' (did you mean check?)"),
        (["--call=check,fromat=json"], "invalid --call 'check,fromat=json'"),
        (["--call=outline", "--format=sarif"], "--call=outline has no format 'sarif'"),
        (["--call=outline", "--fix"], "--fix is for --check"),
        (["--call=check,format=xml"], "hint: text or json or sarif"),
        (["--call=check,ignorestatus=perhaps"], "hint: ignorestatus is true or false"),
        (["--fix"], "--format and --fix go with --check"),
    ],
)
def test_a_call_that_is_none_is_refused(pybuild: Pybuild, options: list[str], message: str) -> None:
    write(pybuild, BAD)
    done = pybuild("build", *options, ".")
    assert done.status == 2
    assert message in done.errors


def test_a_command_has_no_answer_but_its_own(pybuild: Pybuild) -> None:
    write(pybuild, BAD)
    assert pybuild("check", "--call=check,ignorestatus=true").status == 0
    done = pybuild("outline", "--call=targets")
    assert (done.status, done.output) == (2, "")
    assert "hint: 'pybuild targets' does" in done.errors


def test_what_is_asked_about_may_come_from_standard_input(pybuild: Pybuild) -> None:
    done = pybuild("check", "-", stdin=BAD)
    assert done.status == 1
    assert [line.split()[1] for line in done.output.splitlines() if "WARNING" in line] == RULES
    assert pybuild("build", "--call=targets", "-", stdin=BAD).output.split()[-3:-1] == [
        "base",
        "(default)",
    ]
    assert pybuild("check", "--fix", "-", stdin=BAD).status == 2


@needs_tool("git")
def test_or_from_a_web_server_or_a_repository(pybuild: Pybuild, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "r").mkdir(parents=True)
    (site / "r/Dockerfile").write_text("FROM scratch AS in-the-repository\n", "utf-8")
    (site / "d").write_text("FROM scratch AS alone\n", "utf-8")
    with tarfile.open(site / "c.tar", "w") as tar:
        tar.add(site / "d", "sub/d")
    commit(site / "r")
    with serving(site) as web:
        calls = {
            "in-the-repository": (f"{web.url}/r/.git",),
            "alone": ("-f", "sub/d", f"{web.url}/c.tar"),
        }
        for stage, words in calls.items():
            assert f"TARGET:      {stage}\n" in pybuild("outline", *words).ok().output
        assert "alone" in pybuild("targets", "-f", f"{web.url}/d").ok().output
        assert pybuild("check", "-f", f"{web.url}/d").ok().errors == ""
        done = pybuild("targets", f"{web.url}/none")
        assert (done.status, "Traceback" in done.errors) == (1, False)
    assert list((pybuild.root / "tmp").iterdir()) == []
