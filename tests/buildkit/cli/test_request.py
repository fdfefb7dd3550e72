"""From the words of a command line to a request."""

import re
from pathlib import Path

import pytest

from buildkit.cli.argument_reader import read
from buildkit.cli.arguments import SUPPRESS, Argument
from buildkit.cli.build import add_arguments
from buildkit.cli.options import parser_for
from buildkit.cli.request import notes_of, request_of
from buildkit.errors import UsageError
from buildkit.request import BuildRequest
from runtime.spec import Resources
from tests.program import TOP


def asked(*words: str) -> BuildRequest:
    parser = parser_for("build", "")
    add_arguments(parser)
    return request_of(read(parser, [*words, "."]))


def noted(*words: str) -> list[str]:
    parser = parser_for("build", "")
    add_arguments(parser)
    args = read(parser, [*words, "."])
    request_of(args)
    return notes_of(args)


def progress(*words: str) -> str:
    parser = parser_for("build", "")
    add_arguments(parser)
    args = read(parser, [*words, "."])
    request_of(args)
    return str(args.progress)


def test_nothing_asked_for_is_a_build_for_this_machine() -> None:
    request = asked()
    assert request.context == "."
    assert (request.dockerfile, request.tags, request.outputs) == (None, (), ())
    assert request.options.platform is None
    assert request.resources is None
    assert request.jobs >= 2


def test_a_build_argument_without_a_value_is_the_callers_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HERE", "env")
    monkeypatch.delenv("GONE", raising=False)
    request = asked("--build-arg", "HERE", "--build-arg", "GONE", "--build-arg", "EMPTY=")
    assert request.options.build_args == {"HERE": "env", "EMPTY": ""}


def test_the_last_build_argument_counts_and_files_come_first(tmp_path: Path) -> None:
    (tmp_path / "args").write_text("# remark\n\nA=file\nB=file\n")
    words = ("--build-arg", "A=1", "--build-arg-file", str(tmp_path / "args"), "--build-arg=A=2")
    assert asked(*words).options.build_args == {"A": "2", "B": "file"}


def test_network_host_for_all_steps_allows_it() -> None:
    request = asked("--network", "host")
    assert request.options.network == "host"
    assert request.options.allow == {"network.host"}


def test_push_is_an_output() -> None:
    assert [one.kind for one in asked("--push", "-t", "app").outputs] == ["registry"]


@pytest.mark.parametrize("word", ["--no-cache", "--no-cache=true", "--no-cache=1"])
def test_a_switch_takes_a_value_as_programs_in_go_have_it(word: str) -> None:
    assert asked(word).policy.disabled
    assert not asked("--no-cache=false").policy.disabled


def test_stages_without_cache_may_be_listed() -> None:
    request = asked("--no-cache-filter", "a,b", "--no-cache-filter", "c")
    assert request.policy.stages == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("words", "resources"),
    [
        (["--memory", "64m"], Resources(memory=64 << 20)),
        (["-m", "1g", "--memory-swap", "-1"], Resources(memory=1 << 30, memory_swap=-1)),
        (["--cpus", "1.5"], Resources(cpus=1.5)),
        (["--cpu-quota", "50000"], Resources(cpus=0.5)),
        (["--cpu-quota", "50000", "--cpu-period", "25000"], Resources(cpus=2.0)),
        (["--cpu-quota", "-1"], Resources()),
        (["-m", "1m", "--memory-swap", "0"], Resources(memory=1 << 20)),
        (["--cpuset-cpus", "0-1"], Resources(cpuset_cpus="0-1")),
        (["--pids-limit", "100"], Resources(pids=100)),
        (["--pids-limit", "-1"], Resources()),
        (
            ["--resource", "memory=64m", "--resource", "cpu-quota=50000"],
            Resources(64 << 20, cpus=0.5),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_limits_of_steps(words: list[str], resources: Resources) -> None:
    assert asked(*words).resources == resources


def test_progress_is_the_option_before_our_variable_before_buildkits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PYBUILD_PROGRESS", "BUILDKIT_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    assert progress() == "auto"
    monkeypatch.setenv("BUILDKIT_PROGRESS", "plain")
    assert progress() == "plain"
    monkeypatch.setenv("PYBUILD_PROGRESS", "quiet")
    assert progress() == "quiet"
    assert progress("--progress", "rawjson") == "rawjson"
    monkeypatch.setenv("PYBUILD_PROGRESS", "loud")
    with pytest.raises(UsageError, match="PYBUILD_PROGRESS: no progress display is called 'loud'"):
        progress()


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (["--builder", "x"], "--builder changes nothing here: pybuild has no builder instances"),
        (["--rm"], "--rm changes nothing here"),
        (["--retry", "3"], "--retry changes nothing here"),
        (["--skip-unused-stages=true"], "--skip-unused-stages changes nothing here"),
        (["--force-rm=true"], "--force-rm changes nothing here"),
        (["-D"], "--debug changes nothing here"),
        (["--isolation", "chroot"], "--isolation changes nothing here"),
        (["--annotation", "a=b"], "--annotation: the local store keeps no manifest"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_changes_nothing_here_is_noted(words: list[str], note: str) -> None:
    (said,) = noted(*words)
    assert said.startswith(note)


@pytest.mark.parametrize(
    "words",
    [
        *(["--load"], ["--rm=false"], ["--provenance=false"], ["--sbom", "false"]),
        *(["--attest", "type=provenance,disabled=true"], ["--annotation", "a=b", "-o", "type=oci"]),
        *(["--allow", "fs.read=/x"], ["--rewrite-timestamp", "--timestamp", "0"]),
    ],
    ids=" ".join,
)
def test_what_is_as_it_is_anyway_needs_no_word(words: list[str]) -> None:
    assert noted(*words) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--provenance", "mode=x"], "--provenance=mode=x: mode 'x' is neither min nor max"),
        (["--provenance", "version=v0.2"], "provenance is written in version v1 of SLSA only"),
        (["--provenance", "x=y"], "--provenance=x=y: there is no attribute x"),
        (["--provenance", "x"], "--provenance x: 'x' has no value"),
        (["--sbom", "generator=scanner"], "--sbom=generator=scanner: no scanner image is run"),
        (["--attest", "type=seal"], "--attest type=seal: no attestation is of type 'seal'"),
        (["--attest", "type=sbom,disabled=x"], "disabled='x' is neither true nor false"),
        (["-o", "type=tar,attestation-prefix=a/b"], "'a/b' is no beginning of a file's name"),
        (["--squash"], "--squash is not known here"),
        (["--tls-verify=false"], "--tls-verify is not known here"),
        (["--authfile", "x"], "--authfile is not known here"),
        (["--omit-history"], "--omit-history is not known here"),
        (["--dns=1.1.1.1"], "--dns is not known here"),
        (["--security-opt", "seccomp=unconfined"], "--security-opt is not known here"),
        (["-v", "/a:/b"], "--volume is not known here"),
        (
            ["--allow", "network.hots"],
            "unknown entitlement 'network.hots' (did you mean network.host?)",
        ),
        (["--allow", "device"], "devices are not given to steps"),
        (["--jobs", "-1"], "--jobs must not be negative"),
        (["--push"], "--push without a name"),
        (["--progress", "x"], "--progress: no progress display is called 'x'"),
        (["--network", "x"], 'invalid network mode "x"'),
        (["--build-arg", "=1"], "invalid --build-arg '=1'"),
        (["--build-arg-file", "/none"], "/none: no such file or directory"),
        (["--ssh", "x=/none"], "--ssh x=/none: /none: no such file or directory"),
        (["--cpus", "0"], "invalid value for --cpus: 0"),
        (["--cpus", "many"], "invalid value for --cpus: many"),
        (["--pids-limit", "0"], "invalid value for --pids-limit: 0"),
        (["-m", "2m", "--memory-swap", "1m"], "--memory-swap is below --memory"),
        (["--resource", "disk=1"], "there is no resource 'disk'"),
        (["--no-cache=maybe"], "'maybe' is neither true nor false"),
        (["--buildarg", "x"], "unknown option --buildarg"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        asked(*words)
    assert message in raised.value.message


def test_every_option_is_in_the_page_about_them() -> None:
    parser = parser_for("build", "")
    add_arguments(parser)
    page = (TOP / "docs/cli.md").read_text(encoding="utf-8")
    shown = [one for one in parser.steps if isinstance(one, Argument) and one.help != SUPPRESS]
    options = [word for one in shown for word in one.names if word.startswith("--")]
    words = set(re.findall(r"--[a-z-]+", page))
    assert len(options) > 40
    assert [option for option in options if option not in words] == []


def test_the_page_names_no_option_that_there_is_not() -> None:
    parser = parser_for("build", "")
    add_arguments(parser)
    page = (TOP / "docs/cli.md").read_text(encoding="utf-8")
    others = {"--mount", "--security", "--from", "--help", "--explain"}  # of RUN, and of check
    known = {word for one in parser.steps if isinstance(one, Argument) for word in one.names}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page)) - known - others == set()


def test_one_output_alone_goes_to_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"multiple outputs configured to write to {tmp_path}/a"):
        asked("-o", f"type=tar,dest={tmp_path}/a", "-o", f"type=oci,dest={tmp_path}/./a")
    with pytest.raises(UsageError, match=f"multiple outputs configured to write to {tmp_path}/b"):
        asked("-o", f"{tmp_path}/b", "-o", f"type=tar,dest={tmp_path}/b")
    for output in (f"type=local,dest={tmp_path}", "type=tar,dest=/dev/null"):
        asked("-o", output, "-o", output)


def test_one_output_alone_goes_to_standard_output() -> None:
    with pytest.raises(UsageError, match="multiple outputs configured to write to stdout"):
        asked("-o", "type=oci,dest=-", "-o", "-")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--pull", "always"], "did you mean --pull=always?"),
        (["--pull", "no-such-word"], "'pybuild build --help' tells the options"),
        (["--pull=never", "always"], "'pybuild build --help' tells the options"),
    ],
)
def test_a_value_without_its_equals_sign_is_no_context(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError, match="one argument too many") as raised:
        asked(*words)
    assert raised.value.hint == hint
