"""The filter as a program: what it answers to a call, by running it here. docs/security.md, S4."""

import struct

import pytest

from runtime import seccomp, seccomp_numbers, seccomp_policy
from runtime.errors import UnsupportedError
from runtime.spec import DEFAULT_CAPABILITIES
from tests.runtime.conftest import Sandboxes

X86_64, I386, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
TABLES = {
    X86_64: ("x86_64", seccomp_numbers.numbers(seccomp_numbers.X86_64)),
    I386: ("x86_64", seccomp_numbers.numbers(seccomp_numbers.I386)),
    ARM64: ("aarch64", seccomp_numbers.numbers(seccomp_numbers.ARM64)),
}


def answer(program: bytes, arch: int, number: int, argument: int = 0) -> int:
    """Interpret the program as the kernel does."""
    data = struct.pack("=IIQ6Q", number, arch, 0, argument, 0, 0, 0, 0, 0)
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        code, yes, no, operand = instructions[position]
        position += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, operand)[0]
            case 0x05:
                position += operand
            case 0x15:
                position += yes if accumulator == operand else no
            case 0x35:
                position += yes if accumulator >= operand else no
            case 0x45:
                position += yes if accumulator & operand else no
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(code)


def ask(arch: int, name: str, argument: int = 0, held: tuple[str, ...] = ()) -> int:
    machine, table = TABLES[arch]
    program = seccomp.assemble(held or DEFAULT_CAPABILITIES, machine)
    return answer(program, arch, table[name], argument)


@pytest.mark.parametrize("arch", TABLES)
def test_every_call_gets_its_verdict(arch: int) -> None:
    machine, table = TABLES[arch]
    program = seccomp.assemble(DEFAULT_CAPABILITIES, machine)
    source = {X86_64: "X86_64", I386: "I386", ARM64: "ARM64"}[arch]
    verdicts = seccomp.verdicts(getattr(seccomp_numbers, source), DEFAULT_CAPABILITIES)
    expected = {"allow": ALLOW, "refuse": EPERM, "absent": ENOSYS}
    for name, number in table.items():
        if verdicts[name] in expected:
            assert answer(program, arch, number) == expected[verdicts[name]], name


@pytest.mark.parametrize("arch", TABLES)
@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "pivot_root",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "mount_setattr",
        "setns",
        "unshare",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "keyctl",
        "add_key",
        "request_key",
        "init_module",
        "finit_module",
        "delete_module",
        "kexec_load",
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "quotactl",
        "clock_settime",
        "syslog",
        "open_by_handle_at",
        "fanotify_init",
        "lookup_dcookie",
    ],
)
def test_what_needs_a_capability_is_refused_without_it(arch: int, name: str) -> None:
    assert ask(arch, name) == EPERM


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ],
)
def test_a_capability_allows_its_calls(capability: str, name: str) -> None:
    assert ask(X86_64, name, held=(capability,)) == ALLOW


@pytest.mark.parametrize("arch", TABLES)
def test_clone_makes_processes_but_no_namespaces(arch: int) -> None:
    assert ask(arch, "clone", 0x11) == ALLOW
    assert ask(arch, "clone", 0x10000000 | 0x11) == EPERM
    assert ask(arch, "clone", 0x00020000) == EPERM
    assert ask(arch, "clone3") == ENOSYS


@pytest.mark.parametrize("arch", TABLES)
def test_only_plain_personalities_are_allowed(arch: int) -> None:
    for value in seccomp_policy.PERSONALITIES:
        assert ask(arch, "personality", value) == ALLOW
    # ADDR_NO_RANDOMIZE.
    assert ask(arch, "personality", 0x0040000) == EPERM


@pytest.mark.parametrize("arch", TABLES)
def test_some_socket_families_are_refused(arch: int) -> None:
    assert ask(arch, "socket", 2) == ALLOW
    assert ask(arch, "socket", 38) == EPERM
    assert ask(arch, "socket", 40) == EPERM


def test_other_entries_into_the_kernel_are_no_way_round() -> None:
    program = seccomp.assemble(DEFAULT_CAPABILITIES, "x86_64")
    x32_open = 0x40000000 | 2
    assert answer(program, X86_64, x32_open) == ENOSYS
    assert answer(program, 0x12345678, 0) == KILL
    assert ask(I386, "socketcall") == ENOSYS
    assert answer(program, ARM64, 56) == KILL


def test_calls_newer_than_the_table_do_not_exist() -> None:
    program = seccomp.assemble(DEFAULT_CAPABILITIES, "x86_64")
    assert answer(program, X86_64, 600) == ENOSYS
    assert answer(program, X86_64, 0xFFFFFFFF) == ENOSYS


def test_every_name_of_the_policy_exists_somewhere() -> None:
    known = {name for _machine, table in TABLES.values() for name in table}
    named = set(seccomp_policy.ALWAYS.split()) | set(seccomp_policy.NOT_THERE.split())
    for names in seccomp_policy.WITH_CAPABILITY.values():
        named |= set(names.split())
    assert named - known == set()


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="machine vax"):
        seccomp.assemble(DEFAULT_CAPABILITIES, "vax")


def test_the_kernel_takes_the_program(sandboxes: Sandboxes) -> None:
    # chroot is allowed and fails for its own reason; the clock may not be set.
    result = sandboxes.sh("date -s 2001-01-01; chroot /nowhere; sh -c 'echo still here'")
    assert result.lines[-1] == "still here"


@pytest.mark.parametrize("arch", TABLES)
def test_calls_about_owners_and_ids_alone_are_supervised(arch: int) -> None:
    machine, table = TABLES[arch]
    program = seccomp.assemble_supervised(machine)
    wide = "32" if arch == I386 else ""
    named = {f"{name}{wide}" for name in (
        "chown", "lchown", "fchown", "setuid", "setgid", "setreuid", "setregid", "setresuid",
        "setresgid", "setgroups", "getuid", "geteuid", "getgid", "getegid", "getresuid",
        "getresgid", "getgroups",
    )} | {"fchownat"}  # fmt: skip
    passed_on = {name for name, number in table.items() if answer(program, arch, number) != ALLOW}
    assert passed_on == named & table.keys()
    assert {answer(program, arch, table[name]) for name in passed_on} == {0x7FC00000}


def test_an_unknown_architecture_is_left_to_the_other_filter() -> None:
    assert answer(seccomp.assemble_supervised("x86_64"), ARM64, 0) == ALLOW
