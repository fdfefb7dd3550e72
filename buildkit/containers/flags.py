"""Values of options of `run`, `exec` and `create` that have a syntax of their own.

In: the text of an option. Out: a value, or UsageError that says what the form is.
"""

from __future__ import annotations

import os
import stat

from buildkit.containers.mounts import split_fields
from buildkit.containers.record import Secret
from buildkit.durations import parse_duration
from buildkit.errors import UsageError
from buildkit.sizes import parse_size
from runtime import plain_json
from runtime.container import Logging, Restart
from runtime.spec import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


SIGNALS = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9,
    "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16,
    "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24,
    "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "PWR": 30, "SYS": 31,
    "RTMIN": 34, "RTMAX": 64,
}  # fmt: skip
_SIGNAL = r"([A-Z0-9]+?)([+-])([0-9]{1,2})"
_DEVICE = "a device of this machine, as in /dev/fuse"
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_SPAN = r"([0-9]{1,9}(?:\.[0-9]{0,9})?)(us|ms|[smh])"


def parse_signal(text: str) -> int:
    """Return the number of a signal: `SIGTERM`, `term`, `15`, `RTMIN+3`."""
    if text.isascii() and text.isdigit() and len(text) < 4 and 0 < int(text) <= 64:
        return int(text)
    name = text.upper().removeprefix("SIG")
    if name in SIGNALS:
        return SIGNALS[name]
    import re  # for what is hardly ever written

    match = re.fullmatch(_SIGNAL, name)
    if match and match[1] in SIGNALS:
        offset = int(f"{match[2]}{match[3]}")
        number = SIGNALS[match[1]] + offset
        in_range = SIGNALS["RTMIN"] <= number <= SIGNALS["RTMAX"]
        if not offset or (match[1].startswith("RT") and in_range):
            return number
    raise UsageError(f"unknown signal {text!r}", hint="as in TERM, SIGTERM or 15")


def signal_of(text: str) -> int:
    """Return the number of a signal, 0 for an empty text."""
    return parse_signal(text) if text else 0


def parse_entrypoint(text: str) -> tuple[str, ...]:
    """Parse the value of `--entrypoint`: one program, a JSON array, or empty for none."""
    if text.startswith("["):
        try:
            value = plain_json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    return (text,) if text else ()


def parse_env(texts: Sequence[str], files: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the variables of `-e` and `--env-file`, files first; `NAME` alone takes the caller's.

    Raises UsageError for a line without a name and for files that cannot be read.
    """
    found: list[tuple[str, str]] = []
    for file in files:
        found += _variables(_lines("env file", file))
    return (*found, *_variables(texts))


def parse_labels(texts: Sequence[str], files: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the labels of `--label` and `--label-file`, files first; later ones win."""
    lines = [line for file in files for line in _lines("label file", file)]
    pairs = {}
    for text in (*lines, *texts):
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f"invalid label {text!r}", hint="the form is NAME=VALUE")
        pairs[key] = value
    return tuple(pairs.items())


def _lines(what: str, path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as lines:
            entries = [line.rstrip("\r\n") for line in lines]
    except OSError as error:
        raise UsageError(f"{what} {path}: {(error.strerror or '').lower()}") from error
    return [line for line in entries if line.strip() and not line.startswith("#")]


def _variables(texts: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or "\0" in text:
            raise UsageError(
                f"invalid environment variable {text!r}", hint="the form is NAME=VALUE"
            )
        if equals:
            pairs.append((key, value))
        elif key in os.environ:
            pairs.append((key, os.environ[key]))
    return pairs


def parse_device(text: str) -> tuple[Device, ...]:
    """Parse `--device SOURCE[:TARGET[:rwm]]`; a directory stands for the devices below it."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if target and not target.startswith("/") and not mode:
        target, mode = "", target
    if not source.startswith("/") or mode.strip("rwm"):
        raise UsageError(f"invalid device {text!r}", hint="the form is /dev/X[:/dev/Y]")
    if mode and not {"r", "w"} <= set(mode):
        # Its mount decides whether a device is there, and nothing what is done with it.
        raise UsageError(
            f"the device {source} cannot be given for {mode!r} alone", hint="leave the letters out"
        )
    source = os.path.normpath(source)
    target = os.path.normpath(target or source)
    found = _devices(source)
    if not target.startswith("/dev/"):
        raise UsageError(
            f"a device belongs below /dev, not at {target}", hint=f"as in {source}:/dev/NAME"
        )
    return tuple(Device(source + path, target + path) for path in found)


def _devices(source: str) -> list[str]:
    """Return what to add to the path of a device, or of a directory of some. Raises UsageError."""
    if os.path.isdir(source):
        names = (
            os.path.join(directory, name)
            for directory, _names, files in os.walk(source)
            for name in files
        )
        found = sorted(name.removeprefix(source) for name in names if _is_device(os.lstat(name)))
        if found:
            return found
        raise UsageError(f"there is no device in {source}", hint=_DEVICE)
    try:
        if _is_device(os.stat(source)):
            return [""]
    except OSError:
        raise UsageError(f"there is no device {source}", hint=_DEVICE) from None
    raise UsageError(f"{source} is no device", hint=_DEVICE)


def _is_device(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)


def parse_sysctl(text: str) -> tuple[str, str]:
    """Parse `--sysctl NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"invalid sysctl {text!r}", hint="the form is NAME=VALUE")
    return name, value


def parse_restart(text: str) -> Restart:
    """Parse `--restart`: no, on-failure[:N], always, unless-stopped."""
    policy, colon, tries = text.partition(":")
    if policy == "on-failure" and (not colon or _is_count(tries)):
        return Restart("on-failure", int(tries or 0))
    if not colon and policy == "always":
        return Restart("always")
    if not colon and policy == "unless-stopped":
        return Restart("unless-stopped")
    if not colon and policy in ("no", ""):
        return Restart()
    raise UsageError(
        f"invalid restart policy {text!r}", hint="no, on-failure[:N], always, unless-stopped"
    )


def _is_count(text: str) -> bool:
    # Length last, so that what is converted then is no conversion that Python refuses.
    return text.isascii() and text.isdigit() and len(text) < 10


def parse_logging(driver: str, texts: Sequence[str]) -> Logging:
    """Parse `--log-driver` and `--log-opt max-size=SIZE`, `max-file=N`."""
    if driver == "none":
        return Logging(files=0)
    if driver not in ("", "json-file", "k8s-file", "local"):
        raise UsageError(f"unknown log driver {driver!r}", hint="there are k8s-file and none")
    logging = Logging()
    for text in texts:
        key, _, value = text.partition("=")
        if key == "max-size":
            logging = logging._replace(size=max(4096, size_of("--log-opt max-size", value)))
        elif key == "max-file" and _is_count(value) and int(value):
            logging = logging._replace(files=int(value))
        else:
            raise UsageError(f"invalid --log-opt {text!r}", hint="max-size=10m, max-file=3")
    return logging


def parse_secret(text: str) -> Secret:
    """Parse `--secret id=ID,src=FILE|env=NAME[,target=PATH][,mode=M][,uid=U][,gid=G]`."""
    fields: dict[str, str] = {}
    for part in split_fields("--secret", text):
        key, equals, value = part.partition("=")
        key = {"source": "src", "dst": "target", "destination": "target"}.get(key, key)
        if not equals or key not in ("id", "src", "env", "target", "mode", "uid", "gid", "type"):
            raise UsageError(f"invalid --secret {text!r}", hint="as in id=ID,src=FILE")
        fields[key] = value
    name = fields.get("id") or os.path.basename(fields.get("src", "")) or fields.get("env", "")
    if not name or ("src" in fields) == ("env" in fields):
        raise UsageError(f"invalid --secret {text!r}", hint="id=ID,src=FILE or id=ID,env=NAME")
    try:
        return Secret(
            path=os.path.abspath(fields["src"]) if "src" in fields else "",
            variable=fields.get("env", ""),
            target=os.path.join("/run/secrets", fields.get("target", name)),
            mode=int(fields.get("mode", "0400"), 8),
            uid=int(fields.get("uid", "0")),
            gid=int(fields.get("gid", "0")),
        )
    except ValueError as error:
        raise UsageError(f"invalid number in --secret {text!r}") from error


def size_of(option: str, text: str) -> int:
    """Return the bytes that an option gives."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"invalid value for {option}: {text}", hint="as in 512m") from error


def swap_of(text: str, memory: int | None) -> int | None:
    """Return the limit of memory and swap together in bytes, -1 for none, as `--memory-swap` says.

    `memory`: the limit of memory alone. 0 and nothing leave it open. Raises UsageError.
    """
    if text in ("", "0"):
        return None
    if text == "-1":
        return -1
    total = size_of("--memory-swap", text)
    if memory is None:
        raise UsageError("--memory-swap needs --memory", hint="it limits memory and swap together")
    if total < memory:
        raise UsageError(
            "--memory-swap is below --memory", hint="it limits memory and swap together"
        )
    return total


def set_of(option: str, text: str) -> str:
    """Return a list of numbers and ranges, as the kernel takes it. Raises UsageError."""
    if text:
        import re  # for these options only

        if not re.fullmatch("[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", text):
            raise UsageError(f"invalid list {text!r} for {option}", hint="as in 0-1,3")
    return text


def seconds_of(option: str, text: str) -> float:
    """Return the seconds that an option gives: `30s`, `1m30s`, `500ms`, `0.5s`, or a number."""
    try:
        return float(parse_duration(text))
    except ValueError as error:
        import re  # what is not in whole seconds

        if not re.fullmatch(rf"(?:{_SPAN}){{1,9}}", text, re.ASCII):
            raise UsageError(
                f"invalid value for {option}: {text}", hint="as in 30s or 1m30s"
            ) from error
        return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_SPAN, text))


def zone_of(text: str) -> str:
    """Return the file of a time zone of this machine: `Europe/Berlin`, or `local` for its own."""
    top = "/usr/share/zoneinfo"
    path = os.path.realpath("/etc/localtime" if text == "local" else f"{top}/{text}")
    if not os.path.isfile(path) or (text != "local" and not path.startswith(f"{top}/")):
        raise UsageError(f"--tz: there is no time zone {text!r}", hint=f"they are files of {top}")
    return path
