"""Shell text taken apart."""

import pytest

from grammar.instructions import Run
from grammar.lint.commands import Command, commands, is_shell, script_of
from grammar.parser import parse_instruction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("a && b || c; d & e", ["a", "&& b", "|| c", "; d", "& e"]),
        ("a | b |& c", ["a", "| b", "|& c"]),
        ("a \\\n  b\nc", ["a b", "\n c"]),
        ("'a b' \"c d\" e\\ f", ["a b|c d|e f"]),
        ("a 'b && c' \"d | e\"", ["a|b && c|d | e"]),
        ("a > b 2>&1 < c >> d e", ["a e"]),
        ("A=1 B='x y' sudo -E a", ["-E a"]),
        ("if a; then b; else c; fi", ["a", "; b", "; c"]),
        ("(a; { b; })", ["( a", "; b"]),
        ("a # b && c\nd", ["a", "\n d"]),
        ("a#b c", ["a#b c"]),
        ("/usr/bin/a", ["/usr/bin/a"]),
        ("a 'b", ["a 'b"]),
        ("a $(b; c)", ["a $", "( b", "; c"]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_text_becomes_commands(text: str, expected: list[str]) -> None:
    def shown(command: Command) -> str:
        words = "|".join(command.words) if any(" " in one for one in command.words) else ""
        return f"{command.before} {words or ' '.join(command.words)}".removeprefix(" ")

    assert [shown(command) for command in commands(text)] == expected


def test_a_command_has_a_name_arguments_and_options() -> None:
    (command,) = commands("/bin/rm -rf --one-file-system /x -- y")
    assert command.name == "rm"
    assert command.arguments == ("/x", "y")
    assert command.has("-f") and command.has("--recursive", "-r")
    assert not command.has("-x") and not command.has("--one")


def test_the_script_of_a_run() -> None:
    for text, script in (
        ("RUN a", "a"),
        ('RUN ["a"]', ""),
        ("RUN <<E\na\nE", "a\n"),
        ("RUN <<-E\n\ta\nE", "a\n"),
        ("RUN cat <<E\na\nE", "cat <<E"),
        ("RUN <<E\n#!/bin/sh\na\nE", "a\n"),
        ("RUN <<E\n#!/usr/bin/python3\na\nE", ""),
    ):
        run = parse_instruction(text)
        assert isinstance(run, Run)
        assert script_of(run) == script


@pytest.mark.parametrize("line", ["#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/zsh -e", "bash"])
def test_a_shell_is_known_by_its_name(line: str) -> None:
    assert is_shell(line)
    assert not is_shell("#!/usr/bin/python3")
    assert not is_shell("#!/usr/bin/fish")
