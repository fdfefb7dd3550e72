"""What a sandboxed process can see and do, observed from inside; docs/security.md, S1 to S9."""

import os

import pytest

from runtime.errors import SetupError, SpecError
from runtime.spec import Bind, Rlimit
from tests.kernel import needs_root
from tests.runtime.conftest import Sandboxes

DEFAULT_MASK = "00000000a80425fb"


def test_no_namespace_is_shared_with_the_host(sandboxes: Sandboxes) -> None:
    names = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
    result = sandboxes.sh("for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done")
    for name, inside in zip(names, result.lines, strict=True):
        assert inside != os.readlink(f"/proc/self/ns/{name}")


def test_only_mounts_of_the_sandbox_are_seen(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("cat /proc/self/mountinfo")
    points = [line.split()[4] for line in result.lines]
    allowed = ("/proc", "/dev", "/sys", "/etc/")
    assert points[0] == "/"
    assert [point for point in points[1:] if not point.startswith(allowed)] == []


def test_nothing_mounted_inside_propagates(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("cat /proc/self/mountinfo")
    assert [line for line in result.lines if "shared:" in line or "master:" in line] == []


def test_the_program_is_process_1_and_alone(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("echo $$; echo /proc/[0-9]*; readlink /proc/1/exe")
    assert result.lines == ["1", "/proc/1", "/bin/busybox"]


def test_the_host_name_is_that_of_the_spec(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("hostname; cat /etc/hostname; tail -n 1 /etc/hosts", hostname="box")
    assert result.lines == ["box", "box", "127.0.1.1\tbox"]


def test_capabilities_are_the_default_set(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("grep Cap /proc/self/status")
    masks = dict(line.split() for line in result.lines)
    # A machine's root may itself lack some; those it has, it keeps.
    assert masks["CapBnd:"] == DEFAULT_MASK
    assert masks["CapPrm:"] == masks["CapEff:"] == DEFAULT_MASK
    assert masks["CapInh:"] == masks["CapAmb:"] == "0" * 16


def test_capabilities_are_exactly_those_asked_for(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("grep Cap /proc/self/status", capabilities=("chown", "CAP_NET_ADMIN"))
    masks = dict(line.split() for line in result.lines)
    assert masks["CapBnd:"] == masks["CapEff:"] == f"{1 | 1 << 12:016x}"


def test_an_unknown_capability_is_refused(as_root: Sandboxes) -> None:
    with pytest.raises(SpecError, match="no capability CHOWM") as caught:
        as_root.sh("true", capabilities=("CHOWM",))
    assert caught.value.hint == "did you mean CAP_CHOWN?"


def test_an_ordinary_user_has_no_effective_capabilities(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("id; grep Cap /proc/self/status", process={"user": "bob"})
    masks = dict(line.split() for line in result.lines[1:])
    assert result.lines[0] == "uid=1000(bob) gid=1000(bob) groups=50(staff),1000(bob)"
    assert masks["CapPrm:"] == masks["CapEff:"] == "0" * 16
    assert masks["CapBnd:"] == DEFAULT_MASK


def test_no_groups_of_the_caller_are_kept(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("grep Groups /proc/self/status")
    assert result.output.split() == ["Groups:", "0"]


def test_only_standard_descriptors_are_open(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("for n in $(seq 0 300); do test -e /proc/1/fd/$n && echo $n; done")
    assert result.lines == ["0", "1", "2"]


def test_signals_umask_limits_and_session_are_fresh(sandboxes: Sandboxes) -> None:
    result = sandboxes.run(sandboxes.spec("cat", "/proc/self/status", "/proc/self/limits"))
    fields = dict(
        line.split(":", 1) for line in result.lines if line[:3] in ("Sig", "Uma", "NSp", "NSs")
    )
    assert fields["Umask"].strip() == "0022"
    assert fields["NSsid"].strip() == fields["NSpid"].strip() == "1"
    for mask in ("SigBlk", "SigIgn", "SigCgt"):
        assert int(fields[mask], 16) == 0
    core = next(line for line in result.lines if line.startswith("Max core file size"))
    assert core.split()[4] == "0"


def test_limits_are_set_and_clamped(sandboxes: Sandboxes) -> None:
    limits = (Rlimit("nofile", 100, 200), Rlimit("core", 5, 1 << 40))
    result = sandboxes.sh("ulimit -Sn; ulimit -Hn", process={"rlimits": limits})
    assert result.lines == ["100", "200"]


def test_the_umask_can_be_chosen(sandboxes: Sandboxes) -> None:
    assert sandboxes.sh("umask", process={"umask": 0o077}).output == "0077\n"


@pytest.mark.parametrize(
    "path", ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"]
)
def test_masked_files_are_empty(sandboxes: Sandboxes, path: str) -> None:
    result = sandboxes.sh(f"if test -e {path}; then stat -c '%t,%T' {path}; cat {path}; fi")
    assert result.output in ("", "1,3\n")


@pytest.mark.parametrize("path", ["/proc/acpi", "/proc/scsi", "/sys/firmware"])
def test_masked_directories_are_empty_and_stay_so(sandboxes: Sandboxes, path: str) -> None:
    result = sandboxes.sh(f"if test -e {path}; then ls {path}; touch {path}/x; fi 2>/dev/null")
    assert result.output == ""


@pytest.mark.parametrize(
    "path",
    ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity"],
)
def test_kernel_settings_cannot_be_written(sandboxes: Sandboxes, path: str) -> None:
    result = sandboxes.sh(f"if test -e {path}; then echo x > {path}; fi")
    assert "ead-only" in result.output or "ermission denied" in result.output or not result.output
    assert sandboxes.sh(f"grep -q '{os.path.dirname(path)}.* ro,' /proc/mounts").code in (0, 1)


def test_sys_and_control_groups_are_read_only(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("grep -E ' (/sys|/sys/fs/cgroup[^ ]*) ' /proc/mounts")
    assert result.lines
    for line in result.lines:
        assert line.split()[3].startswith("ro,")


def test_standard_devices_work(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh(
        "echo lost > /dev/null; head -c 3 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c; "
        "echo full > /dev/full; ls /dev; echo x | cat /dev/stdin; test -p /dev/fd/0 || echo file"
    )
    assert "No space left on device" in result.output
    expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert [line for line in result.lines if line in expected.split()] == expected.split()
    assert result.lines[:2] == ["3", "2"]


@needs_root
@pytest.mark.parametrize("directory", ["/", "/dev", "/dev/shm", "/tmp", "/data"])
def test_a_device_that_was_made_inside_cannot_be_opened(as_root: Sandboxes, directory: str) -> None:
    data = Bind(as_root.call("new"), "/data", readonly=False)
    script = f"mknod {directory}/mem c 1 1 && cat {directory}/mem"
    result = as_root.sh(script, mounts=(data,))
    assert f"{directory.rstrip('/')}/mem': Permission denied" in result.output


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /tmp",
        "umount /proc/acpi /dev/null",
        "unshare -r true",
        "unshare -m true",
        "chmod 777 /proc/sys",
        "hostname other",
    ],
)
def test_mounting_and_new_namespaces_are_refused(sandboxes: Sandboxes, command: str) -> None:
    assert sandboxes.sh(command).code != 0


def test_the_loopback_interface_is_up_and_alone(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("ls /sys/class/net; cat /sys/class/net/lo/flags", network="none")
    # IFF_UP and IFF_LOOPBACK.
    assert result.lines == ["lo", "0x9"]


@needs_root
def test_the_host_network_is_the_hosts(as_root: Sandboxes) -> None:
    result = as_root.sh("readlink /proc/self/ns/net", network="host")
    assert result.output.strip() == os.readlink("/proc/self/ns/net")


def test_the_host_network_still_has_a_read_only_sys(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("grep -E ' /sys ' /proc/mounts; touch /sys/x", network="host")
    assert " ro," in result.lines[0]
    assert result.code != 0


def test_no_new_privileges_when_asked_for(sandboxes: Sandboxes) -> None:
    script = "grep NoNewPrivs /proc/self/status"
    assert sandboxes.sh(script).output.split()[1] == "0"
    assert sandboxes.sh(script, no_new_privs=True).output.split()[1] == "1"


def test_a_filter_is_loaded_unless_it_is_not_wanted(sandboxes: Sandboxes) -> None:
    script = "grep Seccomp: /proc/self/status"
    assert sandboxes.sh(script).output.split()[1] == "2"
    assert sandboxes.sh(script, seccomp="unconfined").output.split()[1] == "0"


def test_an_insecure_sandbox_may_mount(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("mount -t tmpfs none /tmp && echo ok", security="insecure")
    assert result.output == "ok\n"


def test_sysctls_of_the_sandbox_can_be_set(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh(
        "cat /proc/sys/net/ipv4/ip_default_ttl", sysctls=(("net.ipv4.ip_default_ttl", "77"),)
    )
    assert result.output == "77\n"


@pytest.mark.parametrize("name", ["kernel.core_pattern", "vm.swappiness", "net.ipv4/../x"])
def test_sysctls_of_the_machine_are_refused(as_root: Sandboxes, name: str) -> None:
    with pytest.raises(SpecError, match="sysctl"):
        as_root.sh("true", sysctls=((name, "x"),))


def test_the_working_directory_cannot_be_a_descriptor_outside(sandboxes: Sandboxes) -> None:
    for number in range(3, 9):
        with pytest.raises(SetupError, match="enter the working directory /proc/self/fd"):
            sandboxes.sh("pwd", process={"cwd": f"/proc/self/fd/{number}"})


def test_a_link_as_working_directory_stays_inside(sandboxes: Sandboxes) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("symlink", "../../../../..", f"{layer}/out")
    assert sandboxes.sh("pwd", lowers=(layer,), process={"cwd": "/out"}).output == "/\n"


def test_the_read_only_root_cannot_be_written(sandboxes: Sandboxes) -> None:
    spec = sandboxes.spec("sh", "-c", "touch /x || touch /dev/shm/ok && ls /dev/shm")
    result = sandboxes.run(spec._replace(root=spec.root._replace(readonly=True)))
    assert "Read-only file system" in result.output
    assert result.lines[-1] == "ok"
