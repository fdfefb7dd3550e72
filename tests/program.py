"""Calling pybuild as a user does: the whole program, in its own process, on its own store."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TOP = Path(__file__).resolve().parent.parent


def program(python: str, packages: Path) -> tuple[str, ...]:
    """Return the words that start pybuild from the directory `packages`."""
    start = "from buildkit.cli.entry import entry; entry()"
    return (python, "-P", "-c", f"import sys; sys.path.insert(0, {str(packages)!r}); {start}")


PROGRAM = program(sys.executable, TOP)


class Done(NamedTuple):
    """What a call came to; `output` and `errors` are what it wrote to its two streams."""

    status: int
    output: str
    errors: str

    def ok(self) -> "Done":
        """Return self after checking that the call succeeded."""
        assert self.status == 0, f"exit status {self.status}\n{self.output}{self.errors}"
        return self


class Pybuild:
    """pybuild with the state root `root`, called from the directory `cwd`.

    `words` start it; `identity` holds the arguments of `subprocess` that make it another user's.
    """

    def __init__(
        self,
        root: Path,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        *,
        words: Sequence[str] = PROGRAM,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.cwd = cwd
        self.words = tuple(words)
        self.identity = {**(identity or {}), "cwd": cwd}
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(cwd),
            "LANG": "C.UTF-8",
            "PYBUILD_ROOT": str(root),
            "PYBUILD_TRACEBACK": "1",
            **(environment or {}),
        }

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str | bytes | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 300,
        **options: Any,
    ) -> Done:
        """Call `pybuild` with `arguments` and wait for it; `options` are those of `subprocess`."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*self.words, *map(str, arguments)],
            env={**self.environment, **(environment or {})},
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
            check=False,
            **{**self.identity, **options},
        )
        return Done(
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )

    def start(self, *arguments: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
        """Start `pybuild` and return at once."""
        streams = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": self.environment,
        }
        return subprocess.Popen(
            [*self.words, *map(str, arguments)], **{**streams, **self.identity, **options}
        )

    def build(self, context: Path, *options: str, name: str = "test") -> Done:
        """Build `context` as image `name`, with plain progress."""
        return self("build", "--progress", "plain", "-t", name, *options, context)

    def run(self, name: str, *command: str, options: Sequence[str] = ()) -> Done:
        """Run `command` in a new container of image `name`."""
        return self("run", "--rm", *options, name, *command)

    def inspect(self, name: str) -> Any:
        """Return the first document of `pybuild inspect`."""
        return json.loads(self("inspect", name).ok().output)[0]
