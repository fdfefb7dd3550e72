"""Build contexts as cases: `fixtures/contexts/<case>/`.

Dockerfile      as in a context (and any other file that git can hold as it is)
context.txt     what else is in the context, as tests/trees.py writes trees; may be missing
NAME.txt        likewise, the context called NAME in options.toml
image.txt       what comes out, as `told` writes it
options.toml    how it is built, and what is special; may be missing:
                  build = ["--build-arg", "A=1"]   options of the command line
                  contexts = ["NAME"]              given as --build-context
                  needs = ["root"]                 features of tests/kernel.py
                  times = true                     times of files count
                  secret = "NAME"                  a secret of that id, with its id as value
                  without_buildah = "why"          buildah cannot build this
buildah.toml    where buildah's image differs, `"line" = "why"`: beginnings of lines
"""

import json
import shutil
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.callers import Caller
from tests.images import Image
from tests.program import TOP

FOLDER = TOP / "fixtures/contexts"
_OURS = {"context.txt", "image.txt", "errors.txt", "options.toml", "buildah.toml"}


class Case(NamedTuple):
    """One case."""

    name: str
    folder: Path
    options: Mapping[str, Any]

    @property
    def expected(self) -> str:
        """What comes out."""
        return (self.folder / "image.txt").read_text(encoding="utf-8")

    @property
    def differences(self) -> Mapping[str, str]:
        """Beginnings of lines that only one of pybuild and buildah has, and why."""
        path = self.folder / "buildah.toml"
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def times(self) -> bool:
        """Whether times of files count."""
        return bool(self.options.get("times", False))

    def laid(self, caller: Caller) -> tuple[Path, list[str]]:
        """Make the contexts as the caller's; return the main one and the options of the build."""
        options = list(self.options.get("build", []))
        names = self.options.get("contexts", [])
        for name in names:
            path = caller.tree(caller.place(name), *self._lines(name))
            options += ["--build-context", f"{name}={path}"]
        if secret := self.options.get("secret"):
            path = caller.place("secret") / "value"
            caller.write(path, secret)
            options += ["--secret", f"id={secret},src={path}"]
        context = caller.place(self.name)
        skipped = {*_OURS, *(f"{name}.txt" for name in names)}
        for path in self.folder.iterdir():
            if path.name not in skipped:
                caller.perform(partial(shutil.copy, path, context))
        caller.tree(context, *self._lines("context"))
        return context, options

    def _lines(self, name: str) -> list[str]:
        path = self.folder / f"{name}.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def read_cases(folder: Path = FOLDER) -> list[Case]:
    """Return all cases in `folder`."""
    return [Case(path.name, path, _options(path)) for path in sorted(folder.iterdir())]


def _options(folder: Path) -> Mapping[str, Any]:
    path = folder / "options.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def told(image: Image, base: Image, *, times: bool = False) -> str:
    """Return what `image` has beyond `base`, as text: config, history, tree.

    An image that does not stand on `base` is told as a whole.
    """
    stands = base.layers == image.layers[: len(base.layers)]
    config = _config(image, base.config if stands else {})
    entries = image.config.get("history", [])[len(base.config["history"]) if stands else 0 :]
    history = [
        f"  {'empty' if entry.get('empty_layer') else 'layer'} "
        + entry.get("created_by", "").replace("\n", "\\n")
        for entry in entries
    ]
    below = base.tree(times=times) if stands else {}
    tree = _tree(image.tree(times=times), below)
    sections = {"config": config, "history": history, "tree": tree}
    return "".join(
        f"{name}\n" + "".join(f"{line}\n" for line in sections[name]) for name in sections
    )


def section(text: str, name: str) -> list[str]:
    """Return the lines of one section of what `told` wrote."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line == name
        elif inside:
            found.append(line.strip())
    return found


def _config(image: Image, below: Mapping[str, Any]) -> list[str]:
    """Return the fields that are set and differ from those of `below`."""
    fields = {"author": image.config.get("author"), **image.config["config"]}
    known = {"author": below.get("author"), **below.get("config", {})}
    lines = []
    for name, value in sorted(fields.items()):
        own = _beyond(value, known.get(name))
        if own:
            lines.append(f"  {name} {json.dumps(own, sort_keys=True)}")
    return lines


def _beyond(value: object, known: object) -> object:
    """Return what a field has beyond what is known of it, None where that is nothing."""
    if isinstance(value, dict) and isinstance(known, dict):
        return {key: text for key, text in value.items() if known.get(key) != text}
    return None if value == known else value


def _tree(lines: Mapping[str, str], below: Mapping[str, str]) -> list[str]:
    own = [f"  {line}" for name, line in lines.items() if below.get(name) != line]
    return own + [f"  gone {name}" for name in below if name not in lines]
