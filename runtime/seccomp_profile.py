"""seccomp profiles of the user's own, as the container engines write them.

In: the JSON of a profile, a process's capabilities, the machine. Out: a program as
`runtime.seccomp` makes it. The format is the one of docker and podman, with `includes` and
`excludes`, of which runtime-spec's is a part. Of a call's rules the first whose arguments match
decides; one without arguments decides alone. Source: runtime-spec config-linux.md, "Seccomp";
libseccomp's seccomp_rule_add(3), seccomp_init(3); the kernel's linux/seccomp.h.
"""

from __future__ import annotations

import json

from runtime import seccomp_numbers
from runtime.errors import SpecError, UnsupportedError
from runtime.seccomp import MACHINES, Entry, Instruction, by_number, program_of
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


_LOAD, _AND, _EQUAL, _ABOVE, _NOT_BELOW, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x35, 0x06
_ARGUMENTS = 16
_MOST = 4096
"""Instructions that the kernel takes."""

_EPERM, _ENOSYS = 1, 38
_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_ENTRIES = {
    "SCMP_ARCH_X86_64": MACHINES["x86_64"][0],
    "SCMP_ARCH_X86": MACHINES["x86_64"][1],
    "SCMP_ARCH_AARCH64": MACHINES["aarch64"][0],
}
_SHORT = {"x86_64": "amd64", "aarch64": "arm64"}


class Check(NamedTuple):
    """One comparison of an argument, 64 bits without a sign."""

    argument: int
    operator: str
    value: int
    second: int = 0


class Rule(NamedTuple):
    """What becomes of a call when all `checks` hold; `action` is what the filter returns."""

    action: int
    checks: tuple[Check, ...] = ()


class Profile(NamedTuple):
    """A profile for one process: entries into the kernel by name, rules by name of the call."""

    default: int
    entries: tuple[str, ...]
    rules: tuple[tuple[str, tuple[Rule, ...]], ...]


def assemble(text: str, capabilities: Iterable[str], machine: str, release: str) -> bytes:
    """Return the program for a process with `capabilities` on a kernel of `release`.

    Raises SpecError for what is no profile, UnsupportedError for a machine without numbers.
    """
    profile = read(text, capabilities, machine, release)
    rules = dict(profile.rules)
    blocks = {}
    for name in profile.entries:
        entry = _ENTRIES[name]
        blocks[entry.arch] = _block(entry, profile.default, rules)
    program = program_of(blocks)
    if len(program) // 8 > _MOST:
        raise SpecError(f"the seccomp profile comes to more than {_MOST} instructions")
    return program


def read(text: str, capabilities: Iterable[str], machine: str, release: str) -> Profile:
    """Return what a profile says of one process; raises as `assemble` does."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"the seccomp profile is not JSON: {error}") from error
    native = _NATIVE.get(machine)
    if native is None:
        raise UnsupportedError("seccomp", f"there are no numbers of the machine {machine}")
    held = frozenset(capabilities)
    root = _object(document, "")
    default = _action(root, "defaultAction", "defaultErrnoRet", "")
    found: dict[str, list[Rule]] = {}
    for number, item in enumerate(_list(root, "syscalls", "")):
        place = f"syscalls[{number}]."
        syscall = _object(item, place)
        if _applies(syscall, place, held, machine, release):
            for name in _names(syscall, place):
                found.setdefault(name, []).extend(_rules(syscall, place))
    decided = tuple((name, _decisive(rules)) for name, rules in found.items())
    return Profile(default, _entries(root, native), decided)


def _entries(root: Mapping[str, Any], native: str) -> tuple[str, ...]:
    """Return the entries into the kernel that the profile names, the machine's own first."""
    named = [str(name) for name in _list(root, "architectures", "")]
    for number, item in enumerate(_list(root, "archMap", "")):
        place = f"archMap[{number}]."
        mapped = _object(item, place)
        if mapped.get("architecture") == native:
            named += map(str, _list(mapped, "subArchitectures", place))
    possible = {entry.arch for entry in MACHINES[_machine_of(native)]}
    others = [name for name in named if name in _ENTRIES and _ENTRIES[name].arch in possible]
    return tuple(dict.fromkeys((native, *others)))


def _machine_of(native: str) -> str:
    return next(machine for machine, name in _NATIVE.items() if name == native)


def _applies(
    syscall: Mapping[str, Any], place: str, held: frozenset[str], machine: str, release: str
) -> bool:
    """Say whether an item is for this process: what it includes holds, what it excludes not."""
    includes = _object(syscall.get("includes") or {}, f"{place}includes.")
    excludes = _object(syscall.get("excludes") or {}, f"{place}excludes.")
    arches = (machine, _SHORT[machine])
    wanted = _list(includes, "caps", f"{place}includes.")
    if not all(cap in held for cap in wanted):
        return False
    if (only := _list(includes, "arches", f"{place}includes.")) and not set(arches) & set(only):
        return False
    if (least := includes.get("minKernel")) and _version(str(least)) > _version(release):
        return False
    if any(cap in held for cap in _list(excludes, "caps", f"{place}excludes.")):
        return False
    if set(arches) & set(_list(excludes, "arches", f"{place}excludes.")):
        return False
    least = excludes.get("minKernel")
    return not (least and _version(str(least)) <= _version(release))


def _version(text: str) -> tuple[int, int]:
    """Return the first two numbers of a kernel's release."""
    parts = text.partition("-")[0].split(".")
    numbers = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts[:2]]
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0)


def _names(syscall: Mapping[str, Any], place: str) -> list[str]:
    names = _list(syscall, "names", place)
    if isinstance(syscall.get("name"), str):
        names = [*names, syscall["name"]]
    if not names or not all(isinstance(name, str) for name in names):
        raise SpecError(f"the seccomp profile's {place}names must be names of system calls")
    return names


def _rules(syscall: Mapping[str, Any], place: str) -> list[Rule]:
    """Return an item's rules: one, unless it asks twice for one argument, which means or."""
    action = _action(syscall, "action", "errnoRet", place)
    checks = [
        _check(item, f"{place}args[{number}].")
        for number, item in enumerate(_list(syscall, "args", place))
    ]
    if len({check.argument for check in checks}) < len(checks):
        return [Rule(action, (check,)) for check in checks]
    return [Rule(action, tuple(checks))]


def _decisive(rules: list[Rule]) -> tuple[Rule, ...]:
    """Return the rules that can decide: the last without arguments, else all in order."""
    plain = [rule for rule in rules if not rule.checks]
    return (plain[-1],) if plain else tuple(rules)


def _check(item: object, place: str) -> Check:
    fields = _object(item, place)
    operator = str(fields.get("op", "")).removeprefix("SCMP_CMP_")
    if operator not in _OPERATORS:
        raise SpecError(f"the seccomp profile's {place}op is no comparison: {fields.get('op')!r}")
    index = _number(fields, "index", place, 5)
    value = _number(fields, "value", place, 2**64 - 1)
    return Check(index, operator, value, _number(fields, "valueTwo", place, 2**64 - 1))


def _action(fields: Mapping[str, Any], key: str, number_key: str, place: str) -> int:
    name = fields.get(key)
    action = _ACTIONS.get(name) if isinstance(name, str) else None
    if action is None or not isinstance(name, str):
        raise SpecError(f"the seccomp profile's {place}{key} is no action: {name!r}")
    if name not in _WITH_NUMBER:
        return action
    if fields.get(number_key) is None:
        return action | _EPERM
    return action | _number(fields, number_key, place, 0xFFFF)


def _object(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        where = f"'s {place[:-1]}" if place else ""
        raise SpecError(f"the seccomp profile{where} is no object")
    return value


def _list(fields: Mapping[str, Any], key: str, place: str) -> list[Any]:
    value = fields.get(key) or []
    if not isinstance(value, list):
        raise SpecError(f"the seccomp profile's {place}{key} is no list")
    return value


def _number(fields: Mapping[str, Any], key: str, place: str, largest: int) -> int:
    value = fields.get(key) or 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise SpecError(f"the seccomp profile's {place}{key} is no number up to {largest}")
    return value


def _block(entry: Entry, default: int, rules: Mapping[str, tuple[Rule, ...]]) -> list[Instruction]:
    """Return the block for one entry into the kernel; it always ends in a return."""
    last = (Rule(default),)
    known = {
        number: rules.get(name, last)
        for name, number in seccomp_numbers.numbers(entry.table).items()
    }
    # Behind the newest call that is known there are only newer ones: libc has to fall back.
    beyond = (Rule(_ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS),)
    ranges: list[tuple[int, tuple[Rule, ...]]] = []
    for number in range(max(known) + 1):
        verdict = known.get(number, last)
        if not ranges or ranges[-1][1] != verdict:
            ranges.append((number, verdict))
    ranges.append((max(known) + 1, last if default == _ACTIONS["SCMP_ACT_ALLOW"] else beyond))
    return by_number(ranges, lambda verdict: _leaf(verdict, default))


def _leaf(rules: tuple[Rule, ...], default: int) -> list[Instruction]:
    block: list[Instruction] = []
    for rule in rules:
        block += _conditional(rule)
    if rules[-1].checks:
        block.append((_RETURN, 0, 0, default))
    return block


def _conditional(rule: Rule) -> list[Instruction]:
    """Return instructions that return the action, or go on behind themselves."""
    block: list[Instruction] = [(_RETURN, 0, 0, rule.action)]
    for check in reversed(rule.checks):
        block = [*_compared(check, len(block)), *block]
    return block


def _compared(check: Check, rest: int) -> list[Instruction]:
    """Return the comparison; where it fails it skips the `rest` instructions behind it.

    Arguments have 64 bits, registers 32: first the upper half is compared, then the lower.
    """
    high, low = check.value >> 32, check.value & 0xFFFFFFFF
    place = _ARGUMENTS + 8 * check.argument
    load_low: Instruction = (_LOAD, 0, 0, place)
    load_high: Instruction = (_LOAD, 0, 0, place + 4)
    match check.operator:
        case "EQ":
            return [
                load_high, (_EQUAL, 0, rest + 2, high), load_low, (_EQUAL, 0, rest, low),
            ]  # fmt: skip
        case "NE":
            return [load_high, (_EQUAL, 0, 2, high), load_low, (_EQUAL, rest, 0, low)]
        case "MASKED_EQ":
            second_high, second_low = check.second >> 32, check.second & 0xFFFFFFFF
            return [
                load_high, (_AND, 0, 0, high), (_EQUAL, 0, rest + 3, second_high),
                load_low, (_AND, 0, 0, low), (_EQUAL, 0, rest, second_low),
            ]  # fmt: skip
        case "GT" | "GE":
            code = _ABOVE if check.operator == "GT" else _NOT_BELOW
            return [
                load_high, (_ABOVE, 3, 0, high), (_EQUAL, 0, rest + 2, high),
                load_low, (code, 0, rest, low),
            ]  # fmt: skip
        case _:  # LT and LE: what GE and GT are not
            code = _NOT_BELOW if check.operator == "LT" else _ABOVE
            return [
                load_high, (_ABOVE, rest + 3, 0, high), (_EQUAL, 0, 2, high),
                load_low, (code, rest, 0, low),
            ]  # fmt: skip
