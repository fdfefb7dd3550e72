"""Values of options of `build` that have a syntax of their own.

In: the text of an option. Out: a value, or UsageError that says what the form is.
"""

from collections.abc import Mapping, Sequence

from buildkit.errors import UsageError
from buildkit.frontend.options import NamedContext
from buildkit.ops.secrets import SecretSource
from buildkit.sizes import parse_size as bytes_of


def context_of(texts: Sequence[str]) -> tuple[Mapping[str, str], Mapping[str, NamedContext]]:
    """Parse `--build-context NAME=SOURCE`: the directories by name, and what each name means."""
    directories: dict[str, str] = {}
    contexts: dict[str, NamedContext] = {}
    for text in texts:
        name, equals, source = text.partition("=")
        if not name or not equals or not source:
            raise UsageError(f"invalid --build-context {text!r}", hint="the form is NAME=SOURCE")
        name = name.lower()
        contexts[name] = _named(source)
        if contexts[name].kind == "local":
            directories[name] = source
    return directories, contexts


def _named(source: str) -> NamedContext:
    if source.startswith("docker-image://"):
        return NamedContext("image", source.removeprefix("docker-image://"))
    if source.startswith("oci-layout://"):
        return NamedContext("image", source)
    if source.startswith(("git://", "git@", "ssh://")) or source.partition("#")[0].endswith(".git"):
        return NamedContext("git", source)
    if source.startswith(("http://", "https://")):
        return NamedContext("http", source)
    return NamedContext("local")


def parse_size(option: str, text: str) -> int:
    """Return bytes, 0 for an empty text."""
    try:
        return bytes_of(text) if text else 0
    except ValueError as error:
        raise UsageError(f"invalid value for {option}: {text}", hint="as in 512m") from error


def split_secret(text: str) -> tuple[str, SecretSource]:
    """Parse `--secret id=X[,src=FILE|,env=NAME][,type=file|env][,rebuild=true]`."""
    fields: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in ("id", "src", "source", "env", "type", "rebuild"):
            raise UsageError(
                f"invalid --secret {text!r}", hint="the form is id=ID,src=FILE or id=ID,env=NAME"
            )
        fields["src" if key == "source" else key] = value
    name = fields.get("id", "")
    if not name:
        raise UsageError(f"--secret {text!r} has no id")
    kind = fields.get("type", "")
    if kind not in ("", "file", "env"):
        raise UsageError(f"unknown secret type {kind!r}", hint="file and env are known")
    rebuild = fields.get("rebuild", "false")
    if rebuild not in ("true", "false"):
        raise UsageError(f"--secret {text!r}: rebuild is true or false, not {rebuild!r}")
    path, variable = fields.get("src", ""), fields.get("env", "")
    if kind == "env" and not variable:
        path, variable = "", path or name
    if not path and not variable:
        path, variable = _default_source(name, kind)
    return name, SecretSource(path, variable, rebuild == "true")


def _default_source(name: str, kind: str) -> tuple[str, str]:
    """Return where a secret comes from that names nothing but itself: variable, then file."""
    import os  # the environment is looked at in this rare case only

    if kind != "file" and name in os.environ:
        return "", name
    return name, ""
