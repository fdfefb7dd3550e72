"""Mounts inside a sandbox, and what is left of their mount points; docs/security.md, S13, S14."""

import os

import pytest

from runtime import mounts
from runtime.errors import SetupError, SpecError
from runtime.spec import Bind, BindFd, DirectoryRoot, File, Mount, Overlay, Process, Tmpfs
from tests.kernel import needs_root
from tests.runtime.conftest import Sandboxes


def test_a_bind_mount_is_read_only_unless_it_is_not(sandboxes: Sandboxes) -> None:
    source = sandboxes.call("new")
    sandboxes.call("write", f"{source}/file", "text")
    script = "cat /m/file; echo more >> /m/file"
    result = sandboxes.sh(script, mounts=(Bind(source, "/m"),))
    assert result.output.startswith("text")
    assert "Read-only file system" in result.output
    assert sandboxes.sh(script, mounts=(Bind(source, "/m", readonly=False),)).code == 0
    assert sandboxes.call("read", f"{source}/file") == "textmore\n"


def test_a_file_can_be_bound(sandboxes: Sandboxes) -> None:
    source = sandboxes.call("new")
    sandboxes.call("write", f"{source}/file", "text")
    result = sandboxes.sh("cat /a/b/c", mounts=(Bind(f"{source}/file", "/a/b/c"),))
    assert result.output == "text"


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (Tmpfs("/bin/sh"), "cannot mount tmpfs at /bin/sh: not a directory: /bin/sh"),
        (File("/tmp", b"s"), "cannot mount a file of 1 bytes at /tmp: is a directory: /tmp"),
    ],
)
def test_a_file_and_a_directory_cannot_cover_each_other(
    sandboxes: Sandboxes, mount: Mount, message: str
) -> None:
    with pytest.raises(SetupError) as caught:
        sandboxes.sh("true", mounts=(mount,))
    assert caught.value.message == message


def test_flags_of_a_mount_hold(sandboxes: Sandboxes) -> None:
    source = sandboxes.call("new")
    bind = Bind(source, "/m", readonly=False, flags=("nosuid", "noexec"))
    result = sandboxes.sh("grep ' /m ' /proc/mounts; cp /bin/true /m; /m/true", mounts=(bind,))
    options = result.lines[0].split()[3].split(",")
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(options)
    assert "Permission denied" in result.output


def test_a_tmpfs_has_its_size_and_mode(sandboxes: Sandboxes) -> None:
    script = "stat -c %a /t; head -c 2000000 /dev/zero > /t/x && echo fits"
    result = sandboxes.sh(script, mounts=(Tmpfs("/t", size=1 << 20, mode=0o750),))
    assert result.lines[0] == "750"
    assert result.code != 0


def test_shared_memory_has_its_size(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("stat -f -c '%b %S' /dev/shm", shm_size=1 << 20)
    blocks, size = result.output.split()
    assert int(blocks) * int(size) == 1 << 20


def test_a_secret_is_a_file_in_memory_and_leaves_nothing(sandboxes: Sandboxes) -> None:
    secret = File("/run/secrets/token", b"s3cret", mode=0o400, readonly=True)
    script = "cd /run/secrets; cat token; stat -c ' %a %u' token; stat -f -c %T token"
    result = sandboxes.sh(script, mounts=(secret,))
    assert result.lines == ["s3cret 400 0", "tmpfs"]
    assert sandboxes.call("listing", result.upper) == ()


def test_a_secret_can_belong_to_a_user(sandboxes: Sandboxes) -> None:
    secret = File("/s", b"x", mode=0o400, uid=1000, gid=1000)
    result = sandboxes.sh("cat /s", mounts=(secret,), process={"user": "bob"})
    assert result.output == "x"


def test_a_script_that_comes_with_the_spec_can_be_executed(sandboxes: Sandboxes) -> None:
    script = File("/dev/pipes/EOF", b"#!/bin/sh\necho $0 $1\n", mode=0o755, readonly=True)
    result = sandboxes.run(sandboxes.spec("/dev/pipes/EOF", "x", mounts=(script,)))
    assert result.output == "/dev/pipes/EOF x\n"


def test_mount_points_that_were_made_are_removed(sandboxes: Sandboxes) -> None:
    source = sandboxes.call("new")
    wanted: tuple[Mount, ...] = (
        Bind(source, "/opt/deep/er"),
        File("/etc/extra", b""),
        Tmpfs("/var/cache"),
    )
    result = sandboxes.sh("ls -d /opt/deep/er /etc/extra /var/cache", mounts=wanted)
    assert len(result.lines) == 3
    left = sandboxes.call("listing", result.upper)
    # The directory above a mount point is copied up, and is then as it was.
    assert set(left) <= {"etc"}


def test_the_time_of_their_directory_is_restored(sandboxes: Sandboxes) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("mkdir", f"{layer}/opt")
    sandboxes.call("utime", f"{layer}/opt", 1000000000)
    bind = Bind(layer, "/opt/made")
    result = sandboxes.sh("true", lowers=(layer,), mounts=(bind,))
    assert sandboxes.call("mtime", f"{result.upper}/opt") == 1000000000


def test_the_time_of_a_directory_the_program_changed_is_the_programs(sandboxes: Sandboxes) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("mkdir", f"{layer}/opt")
    script = "touch /opt/own; touch -d @1234567890 /opt"
    result = sandboxes.sh(script, lowers=(layer,), mounts=(Bind(layer, "/opt/made"),))
    assert sandboxes.call("listing", result.upper) == ("opt", "opt/own")
    assert sandboxes.call("mtime", f"{result.upper}/opt") == 1234567890


def test_a_mount_point_that_is_used_stays(sandboxes: Sandboxes) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("mkdir", f"{layer}/opt")
    mount = Tmpfs("/opt/a/b")
    result = sandboxes.sh("touch /opt/a/own", lowers=(layer,), mounts=(mount,))
    assert sandboxes.call("listing", result.upper) == ("opt", "opt/a", "opt/a/own")


def test_a_swapped_mount_point_is_not_followed(sandboxes: Sandboxes) -> None:
    # CVE-2024-23652: the stub's parent becomes a link to something worth deleting.
    precious = sandboxes.call("new")
    sandboxes.call("write", f"{precious}/x/.keep", "")
    sandboxes.call("remove", f"{precious}/x/.keep")
    script = "mv /a /b && ln -s /precious /a && ls -d /precious/x"
    mounts = (Tmpfs("/a/x"), Bind(precious, "/precious", readonly=False))
    result = sandboxes.sh(script, mounts=mounts)
    assert result.output == "/precious/x\n"
    assert sandboxes.call("listing", precious) == ("x",)


def test_targets_are_resolved_inside_the_root(sandboxes: Sandboxes) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("symlink", "../../../../../../tmp", f"{layer}/up")
    sandboxes.call("symlink", "/nowhere/yet", f"{layer}/dangling")
    source = sandboxes.call("new")
    sandboxes.call("write", f"{source}/file", "text")
    mounts = (Bind(source, "/up/here"), Bind(f"{source}/file", "/dangling"))
    result = sandboxes.sh("cat /tmp/here/file /nowhere/yet", lowers=(layer,), mounts=mounts)
    assert result.output == "texttext"
    assert not os.path.exists("/tmp/here")
    assert not os.path.exists("/nowhere/yet")


def parts(sandboxes: Sandboxes) -> str:
    """Return a directory with links that would lead out of it."""
    source: str = sandboxes.call("new")
    sandboxes.call("write", f"{source}/a/b/file", "part")
    sandboxes.call("write", f"{source}/a/x/file", "")
    links = {"in": "/a/b", "up": "../../..", "out": "/etc/passwd", "loop": "loop"}
    for name, to in links.items():
        sandboxes.call("symlink", to, f"{source}/{name}")
    return source


@pytest.mark.parametrize("path", ["in", "up/in", "a/b", "/a/x/../b"])
def test_a_part_of_a_directory_is_found_inside_it(sandboxes: Sandboxes, path: str) -> None:
    source = parts(sandboxes)
    done = sandboxes.sh("cat /m/file", mounts=(Bind(source, "/m", path=path),))
    assert (done.code, done.output) == (0, "part")


@pytest.mark.parametrize(
    ("path", "reason"), [("out", "no such file"), ("loop", "too many"), ("a/b/file/x", "not a dir")]
)
def test_a_part_that_is_elsewhere_is_not_found(
    sandboxes: Sandboxes, path: str, reason: str
) -> None:
    source = parts(sandboxes)
    with pytest.raises(SetupError, match=f"/{path} at /m: {reason}"):
        sandboxes.sh("true", mounts=(Bind(source, "/m", path=path),))


def test_generated_files_follow_links_of_the_image_inside(sandboxes: Sandboxes) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("write", f"{layer}/etc/passwd", "")
    sandboxes.call("symlink", "../run/resolve/stub.conf", f"{layer}/etc/resolv.conf.link")
    mount = File("/etc/resolv.conf.link", b"nameserver 192.0.2.1\n")
    result = sandboxes.sh("cat /run/resolve/stub.conf", lowers=(layer,), mounts=(mount,))
    assert result.output == "nameserver 192.0.2.1\n"


@pytest.mark.parametrize("kernel", ["proc", "sys", "dev"])
def test_a_link_in_place_of_a_kernel_directory_changes_nothing(
    sandboxes: Sandboxes, kernel: str
) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("symlink", "/home", f"{layer}/{kernel}")
    result = sandboxes.sh("cat /proc/mounts", lowers=(layer,))
    types = [line.split()[2] for line in result.lines]
    assert {"proc", "sysfs", "devpts"} <= set(types) or result.code != 0


@pytest.mark.parametrize("target", ["/", "relative", "/..", "//"])
def test_senseless_targets_are_refused(as_root: Sandboxes, target: str) -> None:
    with pytest.raises(SpecError, match="mount"):
        as_root.sh("true", mounts=(Tmpfs(target),))


def test_a_missing_source_is_named(sandboxes: Sandboxes) -> None:
    message = "cannot mount /no/source at /m: no such file or directory: /no/source"
    with pytest.raises(SetupError, match=message):
        sandboxes.sh("true", mounts=(Bind("/no/source", "/m"),))


def test_an_extra_overlay_throws_its_changes_away(sandboxes: Sandboxes) -> None:
    source = sandboxes.call("new")
    sandboxes.call("write", f"{source}/file", "text")
    script = "cat /m/file; echo new > /m/file; cat /m/file; rm /m/file; ls /m"
    result = sandboxes.sh(script, mounts=(Overlay("/m", (source,)),))
    assert result.lines == ["textnew"]
    assert sandboxes.call("listing", source) == ("file",)


def test_flags_of_an_overlay_hold(sandboxes: Sandboxes) -> None:
    overlay = Overlay("/m", (sandboxes.call("new"),), flags=("noexec",), source="what it is")
    script = "echo 'echo ran' > /m/x; chmod 755 /m/x; /m/x || echo refused"
    assert "refused" in sandboxes.sh(f"({script}) 2>/dev/null", mounts=(overlay,)).lines
    missing = overlay._replace(lowers=("/no/source",))
    with pytest.raises(SetupError, match="cannot mount what it is at /m: no such file"):
        sandboxes.sh("true", mounts=(missing,))


def test_a_mount_below_a_mount_comes_after_it(sandboxes: Sandboxes) -> None:
    source = sandboxes.call("new")
    inner = File("/m/inner/file", b"inner")
    result = sandboxes.sh("cat /m/inner/file", mounts=(inner, Tmpfs("/m"), Bind(source, "/z")))
    assert result.output == "inner"


def test_a_plain_directory_can_be_the_root(sandboxes: Sandboxes) -> None:
    root = DirectoryRoot(sandboxes.root)
    result = sandboxes.sh("touch /tmp/kept; mount | head -n 1 | cut -d ' ' -f 3", root=root)
    assert result.output == "/\n"
    assert "tmp/kept" in sandboxes.call("listing", sandboxes.root)
    sandboxes.call("remove", f"{sandboxes.root}/tmp/kept")


def test_a_read_only_directory_as_root_is_not_changed(sandboxes: Sandboxes) -> None:
    before = sandboxes.call("listing", sandboxes.root)
    root = DirectoryRoot(sandboxes.root, readonly=True)
    result = sandboxes.sh("touch /tmp/x; ls /new", root=root, mounts=(Tmpfs("/new/place"),))
    assert "Read-only file system" in result.output
    assert result.lines[-1] == "place"
    assert sandboxes.call("listing", sandboxes.root) == before


def test_many_layers_are_one_root(sandboxes: Sandboxes) -> None:
    layers = sandboxes.call("layers", 150)
    result = sandboxes.sh("ls /many | wc -l; cat /many/own", lowers=layers)
    # Every layer has a file of its own, and all have one in common: the top-most counts.
    assert result.lines == ["151", "0"]


@needs_root
def test_a_pinned_directory_cannot_be_swapped(as_root: Sandboxes) -> None:
    from runtime.sandbox import Zygote
    from runtime.spec import RootFs, SandboxSpec

    good, bad = as_root.call("new"), as_root.call("new")
    as_root.call("write", f"{good}/file", "good")
    as_root.call("write", f"{bad}/file", "bad")
    fd = os.open(good, os.O_PATH | os.O_DIRECTORY)
    pinned, lower = mounts.pin(fd), mounts.pin(fd)
    os.close(fd)
    os.rename(good, f"{good}.old")
    os.rename(bad, good)
    process = Process(("sh", "-c", "cat /m/file /o/file"), env=(("PATH", "/bin"),))
    spec = SandboxSpec(
        root=RootFs((as_root.root,)),
        process=process,
        mounts=(BindFd(pinned, "/m"), Overlay("/o", (lower,))),
    )
    output = os.memfd_create("output")
    with Zygote.start() as zygote:
        assert zygote.run(spec, stdout=output).code == 0
    assert os.pread(output, 100, 0) == b"goodgood"
    os.close(output)
