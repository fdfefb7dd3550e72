"""The filter in front of every sandboxed program: a policy as a BPF program.

In: capabilities and a machine. Out: instructions of classic BPF, 8 bytes each, for
`syscalls.seccomp_filter`. Pure. The architecture is checked first, so no other entry into the
kernel goes round the filter; then a binary search over ranges of numbers.
Source: seccomp(2), the kernel's seccomp_filter.rst; docs/security.md, S4.
"""

from __future__ import annotations

import functools
import struct

from runtime import seccomp_numbers, seccomp_policy
from runtime.errors import UnsupportedError
from runtime.typed import Literal, TypeVar
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias


_LOAD, _JUMP, _EQUAL, _NOT_BELOW, _ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENT_OFFSET = 0, 4, 16

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_USER_NOTIF = 0x7FC00000
_KILL_PROCESS = 0x80000000
_EPERM, _ENOSYS = 1, 38

_AUDIT_X86_64, _AUDIT_I386, _AUDIT_ARM64 = 0xC000003E, 0x40000003, 0xC00000B7

Verdict: TypeAlias = Literal["allow", "refuse", "absent", "clone", "socket", "personality"]

Instruction: TypeAlias = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""

_Case = TypeVar("_Case")
"""What becomes of a range of numbers."""


class Entry(NamedTuple):
    """One way into the kernel: its audit number and the calls it has."""

    arch: int
    table: str


MACHINES = {
    "x86_64": (
        Entry(_AUDIT_X86_64, seccomp_numbers.X86_64),
        Entry(_AUDIT_I386, seccomp_numbers.I386),
    ),
    "aarch64": (Entry(_AUDIT_ARM64, seccomp_numbers.ARM64),),
}


_OF_FILES = "chown lchown fchown"
_OF_PROCESSES = """
setuid setgid setreuid setregid setresuid setresgid setgroups getuid geteuid getgid getegid
getresuid getresgid getgroups
"""


def supervised(entry: Entry) -> dict[str, str]:
    """Return the calls about owners and ids that a supervisor answers, by their name here.

    The 16-bit calls of i386 are not among them: no program of this century makes them.
    """
    names = f"{_OF_FILES} {_OF_PROCESSES}".split()
    wide = "32" if entry.table is seccomp_numbers.I386 else ""
    found = {f"{name}{wide}": name for name in names} | {"fchownat": "fchownat"}
    numbers = seccomp_numbers.numbers(entry.table)
    return {name: call for name, call in found.items() if name in numbers}


@functools.cache
def assemble_supervised(machine: str) -> bytes:
    """Return the program that passes these calls on and lets all others through."""
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCH_OFFSET)]
    for entry in MACHINES.get(machine, ()):
        numbers = seccomp_numbers.numbers(entry.table)
        called = [numbers[name] for name in supervised(entry)]
        block: list[Instruction] = [(_LOAD, 0, 0, _NUMBER_OFFSET)]
        block += [(_EQUAL, len(called) - at, 0, one) for at, one in enumerate(called)]
        block += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _USER_NOTIF)]
        program += [(_EQUAL, 0, len(block), entry.arch), *block]
    program.append((_RETURN, 0, 0, _ALLOW))
    return _packed(program)


@functools.cache
def assemble(capabilities: tuple[str, ...], machine: str) -> bytes:
    """Return the program for a process that has `capabilities` (full names).

    A call through an entry that the machine has and we do not know kills the process.
    """
    entries = MACHINES.get(machine)
    if entries is None:
        raise UnsupportedError(
            "seccomp",
            f"there is no filter for the machine {machine}",
            hint="run with --security-opt seccomp=unconfined",
        )
    held = frozenset(capabilities)
    return program_of({entry.arch: _entry(entry, held) for entry in entries})


def _packed(program: list[Instruction]) -> bytes:
    """Return a program as struct sock_filter[]: one call for all, which is quicker."""
    flat = [field for instruction in program for field in instruction]
    return struct.pack("=" + "HBBI" * len(program), *flat)


def program_of(blocks: Mapping[int, list[Instruction]]) -> bytes:
    """Return the program of a block for each audit number; each block must end in a return.

    A call through any other entry kills the process.
    """
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCH_OFFSET)]
    for arch, block in blocks.items():
        program.append((_EQUAL, 1, 0, arch))
        program.append((_JUMP, 0, 0, len(block)))
        program += block
    program.append((_RETURN, 0, 0, _KILL_PROCESS))
    return _packed(program)


def verdicts(table: str, capabilities: Iterable[str]) -> dict[str, Verdict]:
    """Return what becomes of each call of a table."""
    held = frozenset(capabilities)
    allowed = set(seccomp_policy.ALWAYS.split())
    for capability, names in seccomp_policy.WITH_CAPABILITY.items():
        if capability in held:
            allowed.update(names.split())
    result: dict[str, Verdict] = {
        name: "allow" if name in allowed else "refuse" for name in seccomp_numbers.numbers(table)
    }
    special: dict[str, Verdict] = dict.fromkeys(seccomp_policy.NOT_THERE.split(), "absent")
    special |= {"clone": "clone", "socket": "socket", "personality": "personality"}
    for name, verdict in special.items():
        if name in result and name not in allowed:
            result[name] = verdict
    return result


def _entry(entry: Entry, held: frozenset[str]) -> list[Instruction]:
    """Return the block for one entry; it always ends in a return."""
    numbers = seccomp_numbers.numbers(entry.table)
    known = {numbers[name]: verdict for name, verdict in verdicts(entry.table, held).items()}
    ranges: list[tuple[int, Verdict]] = []
    before: Verdict | None = None
    for number in range(max(known) + 2):
        verdict = known.get(number, "absent")
        if verdict != before:
            ranges.append((number, verdict))
            before = verdict
    return by_number(ranges, _leaf)


def by_number(
    ranges: list[tuple[int, _Case]], leaf: Callable[[_Case], list[Instruction]]
) -> list[Instruction]:
    """Return a block that asks for the call's number: `ranges`, each by its first number."""
    return [(_LOAD, 0, 0, _NUMBER_OFFSET), *_search(ranges, leaf)]


def _search(
    ranges: list[tuple[int, _Case]], leaf: Callable[[_Case], list[Instruction]]
) -> list[Instruction]:
    if len(ranges) == 1:
        return leaf(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle], leaf), _search(ranges[middle:], leaf)
    first = ranges[middle][0]
    if len(below) < 256:
        return [(_NOT_BELOW, len(below), 0, first), *below, *above]
    return [(_NOT_BELOW, 0, 1, first), (_JUMP, 0, 0, len(below)), *below, *above]


def _leaf(verdict: Verdict) -> list[Instruction]:
    allow = (_RETURN, 0, 0, _ALLOW)
    refuse = (_RETURN, 0, 0, _ERRNO | _EPERM)
    argument = (_LOAD, 0, 0, _ARGUMENT_OFFSET)
    match verdict:
        case "allow":
            return [allow]
        case "refuse":
            return [refuse]
        case "absent":
            return [(_RETURN, 0, 0, _ERRNO | _ENOSYS)]
        case "clone":
            return [argument, (_ANY_BIT, 0, 1, seccomp_policy.NAMESPACE_FLAGS), refuse, allow]
        case "socket":
            return [argument, *_any_of(seccomp_policy.REFUSED_FAMILIES), allow, refuse]
        case "personality":
            return [argument, *_any_of(seccomp_policy.PERSONALITIES), refuse, allow]


def _any_of(values: tuple[int, ...]) -> list[Instruction]:
    """Skip the next instruction after these if the argument is one of `values`."""
    last = len(values)
    return [(_EQUAL, last - position, 0, value) for position, value in enumerate(values)]
