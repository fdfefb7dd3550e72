"""Which command a command line means."""

import importlib
import os
import subprocess
from pathlib import Path

import pytest

from buildkit.cli import main as program
from buildkit.cli.arguments import Commands
from buildkit.cli.main import COMMANDS, TWO_WORDS, main, overview
from buildkit.cli.options import parser_for
from tests.program import PROGRAM


def test_every_command_has_a_module_that_declares_and_does_it() -> None:
    for command in COMMANDS.values():
        module = importlib.import_module(f"buildkit.cli.{command.module}")
        assert callable(module.add_arguments)
        assert callable(module.command)


def test_the_overview_names_every_command() -> None:
    text = overview()
    for name, command in COMMANDS.items():
        assert name in text
        assert command.summary in text


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["--root", "/x", "--help"]])
def test_help_is_the_overview(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == overview()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "usage: pybuild" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [(first, second) for first, known in TWO_WORDS.items() for second in known]
)
def test_two_words_of_docker_are_a_command(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = TWO_WORDS[words[0]][words[1]][0]
    assert command in COMMANDS
    assert main([*words, "--help"]) == 0
    assert "usage: pybuild" in capsys.readouterr().out


def test_the_root_may_stand_behind_two_words(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for words in (["--root", first, "ls"], ["ls", "--root", second]):
        subprocess.run([*PROGRAM, "volume", *words], check=True)
    assert (first / "format").exists()
    assert (second / "format").exists()


def test_without_a_word_the_overview_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == overview()


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pybuild {program.VERSION}\n"


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (["system", "prune"], "no command is called 'system prune'", "'pybuild prune': remove"),
        (["system", "x"], "no command is called 'system x'", "system goes on with df, events, inf"),
        (
            ["container", "foo"],
            "no command is called 'container foo'",
            "container goes on with att",
        ),
        (["container", "images"], "no command is called 'container images'", "'pybuild images': "),
        (["volume", "lss"], "no command is called 'volume lss'", "volume goes on with create, in"),
        (["image"], "'image' alone is no command", "image goes on with build, diff, history, "),
        (["container"], "'container' alone is no command", "container goes on with attach, commi"),
        (["buildx", "--help"], "'buildx' alone is no command", "buildx goes on with build, du, p"),
    ],
)
def test_a_second_word_that_there_is_not_is_told(
    words: list[str], what: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"ERROR: {what}\nhint: {hint}")


@pytest.mark.parametrize("word", sorted(TWO_WORDS.keys() & COMMANDS.keys()))
def test_a_command_of_two_words_has_all_its_own_in_the_table(word: str) -> None:
    parser = parser_for(word, "")
    importlib.import_module(f"buildkit.cli.{COMMANDS[word].module}").add_arguments(parser)
    (second,) = (step for step in parser.steps if isinstance(step, Commands))
    own = {meant[1] for meant in TWO_WORDS[word].values() if meant[0] == word}
    assert own == {name for name, _, _ in second.choices}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["biuld", "."], "did you mean build?"),
        (["imagse"], "did you mean images?"),
        (["frobnicate", "x"], "'pybuild --help' lists the commands"),
        (["frobnicate"], "'pybuild --help' lists the commands"),
        (["info"], "'pybuild doctor' tells of the machine, 'pybuild du' of the store"),
        (["bud", "-t", "x", "."], "it is 'pybuild build'"),
    ],
)
def test_a_word_that_is_neither_command_nor_context_is_told(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    text = capsys.readouterr().err
    assert text == (
        f"ERROR: no command and no build context is called {words[0]!r}\nhint: {hint}\n"
    )


def test_a_word_that_is_no_command_can_be_a_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image").mkdir()
    assert main(["image", "--progress", "nothing"]) == 2
    assert "no progress display is called 'nothing'" in capsys.readouterr().err


def test_a_wrong_option_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--tagg", "x", "."]) == 2
    assert capsys.readouterr().err == ("ERROR: unknown option --tagg\nhint: did you mean --tag?\n")


def test_nothing_is_imported_from_the_context_whatever_the_environment_says(
    tmp_path: Path,
) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit('from the context')")
    environment = {**os.environ, "PYTHONPATH": ":", "PYTHONSTARTUP": "x", "LANG": "C"}
    done = subprocess.run(
        [*PROGRAM, "--version"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("PYTHONPATH", True),
        ("PYTHONHOME", True),
        ("PYTHON_VERSION", False),
        ("PYTHONUNBUFFERED", False),
    ],
)
def test_it_starts_over_only_for_what_changes_imports(
    monkeypatch: pytest.MonkeyPatch, name: str, *, again: bool
) -> None:
    for other in [other for other in os.environ if other.startswith("PYTHON")]:
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, "1")
    started: list[str] = []
    monkeypatch.setattr(os, "execv", lambda path, _: started.append(path))
    program._isolate()
    assert bool(started) == again


def test_closed_standard_streams_do_no_harm() -> None:
    def close() -> None:
        for number in (0, 1, 2):
            os.close(number)

    done = subprocess.run([*PROGRAM, "--version"], preexec_fn=close, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["PYTHONUNBUFFERED", "PYTHONSTARTUP"])
def test_an_archive_is_not_lost_where_standard_output_is_closed(tmp_path: Path, name: str) -> None:
    """The second variable has the program start over."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nENV A=1\n")
    done = subprocess.run(
        [*PROGRAM, "--root", tmp_path / "root", "build", "-q", "-o", "type=oci,dest=-", tmp_path],
        preexec_fn=lambda: os.close(1),
        stderr=subprocess.PIPE,
        env={**os.environ, name: "1"},
        check=False,
    )
    assert b"ERROR: standard output is closed\n" in done.stderr
    assert done.returncode == 4


def test_a_reader_that_leaves_is_no_fault_of_ours() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PROGRAM, "--help"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", [("--version",), ("--help",), ("build", "--help"), ("completion", "bash")]
)
def test_what_cannot_be_printed_is_told(words: tuple[str, ...], unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, *words],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: standard output cannot be written: no space left")
