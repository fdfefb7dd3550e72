"""Values of options of `build` that have a syntax of their own.

In: the text of an option. Out: a value, or UsageError that says what the form is.
"""

from __future__ import annotations

import os

from buildkit.errors import UsageError
from buildkit.exporter.attributes import split_fields
from buildkit.frontend.options import NamedContext
from buildkit.frontend.remote import is_git
from buildkit.oci.platforms import Platform
from buildkit.oci.reference import Reference, name_to_give
from buildkit.ops.secrets import SecretSource, kept
from buildkit.sizes import parse_size as bytes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildkit.cli.arguments import Namespace
    from buildkit.llb.op import NetworkMode
    from runtime.spec import Resources

HOST_GATEWAY = "host-gateway"
_SECRET_KEYS = ("id", "src", "source", "env", "type", "rebuild")
SECRET_FORM = "id=ID[,src=FILE|,env=NAME][,rebuild=true]"  # noqa: S105 - no secret, but its form
_SECRET_HINT = f"the form is {SECRET_FORM}"


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
            if not os.path.isdir(source):
                what = "is not a directory" if os.path.lexists(source) else "not found"
                raise UsageError(f'--build-context {name}: path "{source}" {what}')
            directories[name] = source
    return directories, contexts


def _named(source: str) -> NamedContext:
    if source.startswith("docker-image://"):
        return NamedContext("image", source.removeprefix("docker-image://"))
    if source.startswith("oci-layout://"):
        return NamedContext("image", source)
    if source.startswith("target:"):
        raise UsageError(f"--build-context {source}: targets are known to bake only")
    if os.path.isdir(source):
        return NamedContext("local")
    if is_git(source) or source.startswith("github.com/"):
        return NamedContext("git", source)
    if source.startswith(("http://", "https://")):
        return NamedContext("http", source)
    return NamedContext("local")


def tag_of(text: str) -> Reference:
    """Parse `--tag`."""
    try:
        found = name_to_give(text)
    except ValueError as error:
        raise UsageError(f'invalid tag "{text}": {error}', hint="as in app or app:1.2") from error
    if found.digest is not None:
        raise UsageError(
            f'invalid tag "{text}": a digest is not given but comes out',
            hint=f"leave @{found.digest} out",
        )
    return found


def platforms_of(texts: Sequence[str]) -> tuple[Platform, ...]:
    """Parse `--platform`: what is built for, each once; nothing when nobody asks for any."""
    words = [word.strip() for text in texts for word in text.split(",")]
    return tuple(dict.fromkeys(_platform(word) for word in words if word))


def _platform(text: str) -> Platform:
    try:
        found = Platform.parse(text)
    except ValueError as error:
        raise UsageError(f"--platform: {error}", hint="as in linux/amd64") from error
    if found.os != "linux":
        raise UsageError(f"--platform {text}: only images for linux can be built")
    return found


def network_of(text: str) -> NetworkMode:
    """Parse `--network`."""
    match text:
        case "none" | "host":
            return text
        case "default" | "bridge":
            return "default"
        case _:
            raise UsageError(f'invalid network mode "{text}"', hint="default, none or host")


def pair_of(option: str, text: str, *, bare: bool = False) -> tuple[str, str]:
    """Parse `NAME=VALUE`; with `bare`, `NAME` alone has an empty value."""
    name, equals, value = text.partition("=")
    if not name or (not equals and not bare):
        raise UsageError(f"invalid {option} {text!r}", hint="the form is NAME=VALUE")
    return name, value


def host_of(text: str) -> tuple[str, str]:
    """Parse `--add-host NAME:IP` or `NAME=IP`; the address may be `host-gateway`."""
    equals = "=" in text
    name, _, address = text.partition("=" if equals else ":")
    address = address.removeprefix("[").removesuffix("]")
    if not name or not address:
        raise UsageError(f"invalid --add-host {text!r}", hint="the form is NAME:IP")
    if address != HOST_GATEWAY:
        import ipaddress  # for this option only

        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise UsageError(
                f"invalid IP address in --add-host {text!r}: {address!r}",
                hint="the form is NAME:IP, or NAME:host-gateway",
            ) from None
    return name, address


def epoch_of(option: str | None) -> int | None:
    """Return the seconds of `--source-date-epoch`, else of SOURCE_DATE_EPOCH, None without."""
    place = "--source-date-epoch" if option is not None else "SOURCE_DATE_EPOCH"
    text = option if option is not None else os.environ.get(place, "")
    if not text and option is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        hint = "seconds since 1970, as digits: 'git log -1 --format=%ct' prints them"
        raise UsageError(f"invalid {place} {text!r}", hint=hint)
    return int(text)


def parse_size(option: str, text: str) -> int:
    """Return bytes, 0 for an empty text."""
    try:
        return bytes_of(text) if text else 0
    except ValueError as error:
        raise UsageError(f"invalid value for {option}: {text}", hint="as in 512m") from error


def check_ulimits(texts: Sequence[str]) -> None:
    """Raise UsageError for what is no `--ulimit`."""
    if texts:
        from buildkit.ops.ulimits import parse_ulimit  # the sandbox's values: rarely needed

        for text in texts:
            parse_ulimit(text)


def resources_of(args: Namespace) -> Resources | None:
    """Return the limits of RUN steps, None without."""
    names = ("memory", "memory_swap", "cpus", "cpuset_cpus", "pids_limit", "cpu_period")
    given = {name: str(getattr(args, name)) for name in (*names, "cpu_quota")}
    for text in args.resource:
        name, value = pair_of("--resource", text)
        field = name.replace("-", "_")
        if field not in given:
            raise UsageError(
                f"--resource {text}: there is no resource {name!r}",
                hint=f"one of: {', '.join(given).replace('_', '-')}",
            )
        given[field] = value
    if not any(given.values()):
        return None
    from buildkit.containers.flags import set_of, swap_of  # containers' values: rarely needed
    from runtime.spec import Resources  # the sandbox's, too

    cpus = _number("--cpus", given["cpus"])
    quota, period = given["cpu_quota"], given["cpu_period"] or "100000"
    time = _number("--cpu-quota", quota)
    if time is not None and cpus is None:
        cpus = time / (_number("--cpu-period", period) or 100_000)
    memory = parse_size("--memory", given["memory"]) or None
    pids = _number("--pids-limit", given["pids_limit"])
    return Resources(
        memory=memory,
        memory_swap=swap_of(given["memory_swap"], memory),
        cpus=cpus,
        cpuset_cpus=set_of("--cpuset-cpus", given["cpuset_cpus"]),
        pids=None if pids is None else int(pids),
    )


def _number(option: str, text: str) -> float | None:
    """Return a number above zero; None for an empty text and for -1, which is no limit."""
    if text in ("", "-1"):
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise UsageError(f"invalid value for {option}: {text}", hint="a number above 0")
    return number


def split_secret(text: str) -> tuple[str, SecretSource]:
    """Parse `--secret id=X[,src=FILE|,env=NAME][,type=file|env][,rebuild=true]`."""
    fields: dict[str, str] = {}
    for part in split_fields(text):
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        if not equals or key not in _SECRET_KEYS:
            raise UsageError(f"invalid --secret {text!r}", hint=_SECRET_HINT)
        fields["src" if key == "source" else key] = value
    name = fields.get("id", "")
    if not name:
        raise UsageError(f"--secret {text!r} has no id", hint=_SECRET_HINT)
    kind = fields.get("type", "")
    if kind not in ("", "file", "env"):
        raise UsageError(f"unknown secret type {kind!r}", hint="file and env are known")
    rebuild = fields.get("rebuild", "false")
    if rebuild not in ("true", "false"):
        raise UsageError(f"--secret {text!r}: rebuild is true or false, not {rebuild!r}")
    path, variable = fields.get("src", ""), fields.get("env", "")
    if path and variable:
        raise UsageError(f"--secret {text!r} has two sources", hint="either src or env")
    if kind == "env" and not variable:
        path, variable = "", path or name
    if not path and not variable:
        path, variable = _default_source(name, kind)
    return name, SecretSource(kept(name, path) if path else "", variable, rebuild == "true")


def _default_source(name: str, kind: str) -> tuple[str, str]:
    """Return where a secret comes from that names nothing but itself: variable, then file."""
    if kind != "file" and name in os.environ:
        return "", name
    return name, ""
