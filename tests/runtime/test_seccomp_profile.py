"""seccomp profiles of the user's own, read and run as the kernel would."""

import itertools
import json
import platform
import struct
from typing import Any

import pytest

from runtime import seccomp_numbers, seccomp_profile
from runtime.errors import SpecError, UnsupportedError
from runtime.spec import DEFAULT_CAPABILITIES
from tests.runtime.conftest import Sandboxes

X86_64, I386, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
NUMBERS = seccomp_numbers.numbers(seccomp_numbers.X86_64)


def rule(*names: str, action: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def profile(*syscalls: dict[str, Any], default: str = "SCMP_ACT_ERRNO", **more: Any) -> str:
    return json.dumps({"defaultAction": default, "syscalls": list(syscalls), **more})


def check(index: int, op: str, value: int, second: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": second}


def run(program: bytes, number: int, arguments: tuple[int, ...] = (), arch: int = X86_64) -> int:
    """Interpret the program as the kernel does."""
    given = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number, arch, 0, *given)
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = value = 0
    while True:
        code, yes, no, operand = instructions[position]
        position += 1
        match code:
            case 0x20:
                value = struct.unpack_from("=I", data, operand)[0]
            case 0x54:
                value &= operand
            case 0x05:
                position += operand
            case 0x15 | 0x25 | 0x35:
                holds = {0x15: value == operand, 0x25: value > operand, 0x35: value >= operand}
                position += yes if holds[code] else no
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(code)


def ask(
    text: str,
    name: str,
    *arguments: int,
    held: tuple[str, ...] = DEFAULT_CAPABILITIES,
    release: str = "6.1.0-1-amd64",
) -> int:
    program = seccomp_profile.assemble(text, held, "x86_64", release)
    return run(program, NUMBERS[name], arguments)


def test_what_is_not_named_gets_the_default() -> None:
    text = profile(rule("read", "write"))
    assert ask(text, "read") == ALLOW
    assert ask(text, "mount") == EPERM


@pytest.mark.parametrize(
    ("action", "number", "expected"),
    [
        ("SCMP_ACT_KILL", None, 0),
        ("SCMP_ACT_KILL_PROCESS", None, KILL),
        ("SCMP_ACT_TRAP", None, 0x00030000),
        ("SCMP_ACT_LOG", None, 0x7FFC0000),
        ("SCMP_ACT_ERRNO", None, EPERM),
        ("SCMP_ACT_ERRNO", 0, 0x00050000),
        ("SCMP_ACT_ERRNO", 38, ENOSYS),
        ("SCMP_ACT_TRACE", 7, 0x7FF00007),
    ],
)
def test_actions(action: str, number: int | None, expected: int) -> None:
    text = profile(rule("mount", action=action, errnoRet=number), default="SCMP_ACT_ALLOW")
    assert ask(text, "mount") == expected
    assert ask(text, "read") == ALLOW


EDGES = (0, 1, 2, 5, 0xFFFFFFFF, 0x1_0000_0000, 0x1_0000_0005, 2**64 - 1)
MEANINGS = {
    "EQ": lambda argument, value: argument == value,
    "NE": lambda argument, value: argument != value,
    "LT": lambda argument, value: argument < value,
    "LE": lambda argument, value: argument <= value,
    "GT": lambda argument, value: argument > value,
    "GE": lambda argument, value: argument >= value,
}


@pytest.mark.parametrize("operator", MEANINGS)
def test_arguments_are_compared_as_64_bits_without_a_sign(operator: str) -> None:
    for value in EDGES:
        text = profile(rule("read", args=[check(2, operator, value)]))
        program = seccomp_profile.assemble(text, (), "x86_64", "6.1")
        for argument in EDGES:
            expected = ALLOW if MEANINGS[operator](argument, value) else EPERM
            assert run(program, NUMBERS["read"], (9, 9, argument)) == expected


def test_a_mask_is_laid_over_both_halves() -> None:
    mask, wanted = 0x7000_0000_7E02_0000, 0x2000_0000_0002_0000
    text = profile(rule("clone", args=[check(0, "MASKED_EQ", mask, wanted)]))
    for argument in (wanted, wanted | 0xFF, wanted | 1 << 63):
        assert ask(text, "clone", argument) == ALLOW
    for argument in (0, wanted ^ 0x2_0000, wanted ^ (1 << 61)):
        assert ask(text, "clone", argument) == EPERM


def test_all_checks_of_different_arguments_must_hold() -> None:
    checks = [check(0, "EQ", 1), check(1, "GT", 2), check(5, "NE", 3)]
    text = profile(rule("socket", args=checks))
    for first, second, last in itertools.product((1, 2), (2, 3), (3, 4)):
        expected = ALLOW if (first, second > 2, last != 3) == (1, True, True) else EPERM
        assert ask(text, "socket", first, second, 0, 0, 0, last) == expected


def test_checks_of_the_same_argument_are_alternatives() -> None:
    text = profile(rule("personality", args=[check(0, "EQ", 0), check(0, "EQ", 8)]))
    assert [ask(text, "personality", value) for value in (0, 8, 9)] == [ALLOW, ALLOW, EPERM]


def test_the_first_rule_that_holds_decides() -> None:
    text = profile(
        rule("socket", action="SCMP_ACT_ERRNO", errnoRet=97, args=[check(0, "EQ", 40)]),
        rule("socket", args=[check(0, "LT", 50)]),
    )
    assert [ask(text, "socket", value) for value in (40, 41, 50)] == [0x00050061, ALLOW, EPERM]


def test_a_rule_without_arguments_decides_alone() -> None:
    text = profile(
        rule("socket", action="SCMP_ACT_KILL_PROCESS", args=[check(0, "EQ", 40)]), rule("socket")
    )
    assert ask(text, "socket", 40) == ALLOW


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ({}, True),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"excludes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["s390x"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.2"}}, False),
        ({"excludes": {"minKernel": "6.1"}}, False),
        ({"includes": {}, "excludes": None, "comment": "", "args": None}, True),
    ],
)
def test_conditions(condition: dict[str, Any], applies: bool) -> None:
    assert ask(profile(rule("mount", **condition)), "mount") == (ALLOW if applies else EPERM)


def test_other_entries_into_the_kernel_are_closed_unless_they_are_named() -> None:
    closed = seccomp_profile.assemble(profile(rule("read")), (), "x86_64", "6.1")
    assert run(closed, 3, arch=I386) == KILL
    maps = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]
    opened = seccomp_profile.assemble(profile(rule("read"), archMap=maps), (), "x86_64", "6.1")
    assert run(opened, 3, arch=I386) == ALLOW
    assert run(opened, 4, arch=I386) == EPERM
    assert run(opened, 3, arch=ARM64) == KILL
    named = profile(rule("read"), architectures=["SCMP_ARCH_X86"])
    assert run(seccomp_profile.assemble(named, (), "x86_64", "6.1"), 3, arch=I386) == ALLOW


def test_calls_that_are_newer_than_all_known_are_not_there() -> None:
    program = seccomp_profile.assemble(profile(rule("read")), (), "x86_64", "6.1")
    assert run(program, 5000) == ENOSYS
    assert run(program, 0x40000000) == ENOSYS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "the seccomp profile is no object"),
        ("{}", "profile's defaultAction is no action: None"),
        (profile(default="SCMP_ACT_NOTIFY"), "defaultAction is no action: 'SCMP_ACT_NOTIFY'"),
        (profile({"action": "SCMP_ACT_ALLOW"}), r"syscalls\[0\].names must be names"),
        (profile(rule("read"), rule("x", action="no")), r"syscalls\[1\].action is no action"),
        (profile(rule("read", args=[{"index": 6}])), r"syscalls\[0\].args\[0\].op is no comparis"),
        (profile(rule("read", args=[check(6, "EQ", 0)])), r"args\[0\].index is no number up to 5"),
        (profile(rule("read", args=[check(0, "EQ", -1)])), r"args\[0\].value is no number"),
        (profile(rule("read", args={"a": 1})), r"syscalls\[0\].args is no list"),
        (profile(rule("read", errnoRet=70000, action="SCMP_ACT_ERRNO")), "errnoRet is no number"),
    ],
)
def test_what_is_no_profile_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        seccomp_profile.assemble(text, (), "x86_64", "6.1")


def test_a_profile_of_too_many_instructions_is_refused() -> None:
    rules = [
        rule(name, args=[check(number, "MASKED_EQ", 2**63 + own, own) for number in range(6)])
        for own, name in enumerate(list(NUMBERS)[:200])
    ]
    with pytest.raises(SpecError, match="more than 4096 instructions"):
        seccomp_profile.assemble(profile(*rules), (), "x86_64", "6.1")


def test_a_machine_without_numbers_is_said() -> None:
    with pytest.raises(UnsupportedError, match="riscv64"):
        seccomp_profile.assemble(profile(), (), "riscv64", "6.1")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="not x86-64")
def test_the_kernel_takes_it_and_a_sandbox_is_held_by_it(sandboxes: Sandboxes) -> None:
    text = profile(
        rule("mkdir", "mkdirat", action="SCMP_ACT_ERRNO", errnoRet=95), default="SCMP_ACT_ALLOW"
    )
    done = sandboxes.sh("mkdir /x 2>&1; echo fine > /y; cat /y", profile=text)
    assert done.lines == ["mkdir: can't create directory '/x': Operation not supported", "fine"]
