"""How a sandbox runs and ends, as its caller sees it."""

import os
import threading

import pytest

from runtime.errors import SetupError, SpecError, UserError
from runtime.sandbox import Zygote
from runtime.spec import Bind, Process, RootFs, SandboxSpec
from tests.kernel import needs_root
from tests.runtime.conftest import Sandboxes


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_the_exit_status_of_the_program_is_returned(sandboxes: Sandboxes, code: int) -> None:
    assert sandboxes.sh(f"exit {code}").code == code


def test_a_program_killed_by_a_signal_gives_128_and_the_signal(sandboxes: Sandboxes) -> None:
    # Process 1 is spared by its own signals, so a child of it dies.
    result = sandboxes.sh("sh -c 'kill -TERM $$'; echo $?")
    assert result.lines[-1] == "143"


def test_a_program_that_is_not_there_gives_127(sandboxes: Sandboxes) -> None:
    result = sandboxes.run(sandboxes.spec("nosuch"))
    assert (result.code, result.status.started) == (127, False)
    assert result.status.reason == "nosuch: not found in the PATH"


def test_a_program_that_may_not_be_executed_gives_126(sandboxes: Sandboxes) -> None:
    result = sandboxes.run(sandboxes.spec("/etc/passwd"))
    assert (result.code, result.status.started) == (126, False)
    assert result.status.reason == "/etc/passwd: permission denied"


def test_a_directory_is_no_program(sandboxes: Sandboxes) -> None:
    result = sandboxes.run(sandboxes.spec("/etc"))
    assert (result.code, result.status.reason) == (126, "/etc: is a directory")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("#!/usr/bin/perl -w\n", "/usr/bin/perl"),
        ("#! /bin/sh\r\n", r"'/bin/sh\r' (its lines end as on Windows)"),
        ("#!/bin/\x1b[2Jsh\n", r"'/bin/\x1b[2Jsh'"),
    ],
)
def test_a_script_without_its_interpreter_is_explained(
    sandboxes: Sandboxes, line: str, what: str
) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("write", f"{layer}/script", line)
    sandboxes.call("chmod", f"{layer}/script", 0o755)
    result = sandboxes.run(sandboxes.spec("/script", lowers=(layer,)))
    assert result.code == 127
    assert result.status.reason == f"/script: its interpreter {what} is not in the image"


def test_a_file_of_another_format_gives_126(sandboxes: Sandboxes) -> None:
    layer = sandboxes.call("new")
    sandboxes.call("write", f"{layer}/program", "something")
    sandboxes.call("chmod", f"{layer}/program", 0o755)
    result = sandboxes.run(sandboxes.spec("/program", lowers=(layer,)))
    assert result.code == 126
    assert "not a program of this architecture" in result.status.reason


def test_no_program_at_all_is_refused(as_root: Sandboxes) -> None:
    with pytest.raises(SpecError, match="no program"):
        as_root.run(as_root.spec())


def test_what_is_written_lands_in_the_upper_and_nowhere_else(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("echo hello > /tmp/file; mkdir -p /opt/a")
    assert sandboxes.call("listing", result.upper) == ("opt", "opt/a", "tmp", "tmp/file")
    assert sandboxes.call("read", f"{result.upper}/tmp/file") == "hello\n"
    assert "tmp/file" not in sandboxes.call("listing", sandboxes.root)


def test_without_an_upper_changes_are_thrown_away(sandboxes: Sandboxes) -> None:
    root = RootFs((sandboxes.root,))
    assert sandboxes.sh("echo x > /new && cat /new", root=root).output == "x\n"
    assert sandboxes.sh("test -e /new", root=root).code == 1


def test_a_root_may_start_from_nothing(sandboxes: Sandboxes) -> None:
    spec = sandboxes.spec("/host/bin/ls", "/", mounts=(Bind(sandboxes.root, "/host"),))
    assert isinstance(spec.root, RootFs)
    result = sandboxes.run(spec._replace(root=spec.root._replace(lowers=())))
    assert result.lines == ["dev", "etc", "host", "proc", "sys"]


def test_input_is_empty_unless_there_is_some(sandboxes: Sandboxes) -> None:
    assert sandboxes.sh("cat").output == ""
    given = sandboxes.run(sandboxes.spec("cat"), stdin="some text")
    assert given.output == "some text"


def test_the_environment_is_what_was_asked_for_and_home(sandboxes: Sandboxes) -> None:
    result = sandboxes.run(sandboxes.spec("env", env=(("PATH", "/bin"), ("A", "1"))))
    assert sorted(result.lines) == ["A=1", "HOME=/root", "PATH=/bin"]


def test_home_of_an_unknown_user_is_the_root(sandboxes: Sandboxes) -> None:
    result = sandboxes.run(sandboxes.spec("env", process={"user": "4711"}))
    assert "HOME=/" in result.lines


def test_home_given_by_the_image_stays(sandboxes: Sandboxes) -> None:
    result = sandboxes.run(sandboxes.spec("env", env=(("HOME", "/else"), ("PATH", "/bin"))))
    assert "HOME=/else" in result.lines


def test_a_missing_working_directory_is_made(sandboxes: Sandboxes) -> None:
    result = sandboxes.sh("pwd; stat -c '%a %u' .", process={"cwd": "/srv/app/data"})
    assert result.lines == ["/srv/app/data", "755 0"]


def test_a_daemonised_orphan_is_gone_when_the_sandbox_has_ended(sandboxes: Sandboxes) -> None:
    daemon = "(while :; do echo >> /tmp/alive; sleep 0.01; done) &"
    result = sandboxes.sh(f"{daemon} while ! test -s /tmp/alive; do :; done; exit 3")
    assert result.code == 3
    before = sandboxes.call("size", f"{result.upper}/tmp/alive")
    assert sandboxes.sh("sleep 0.1").code == 0
    assert sandboxes.call("size", f"{result.upper}/tmp/alive") == before


def test_a_timeout_kills_and_says_so(sandboxes: Sandboxes) -> None:
    spec = sandboxes.spec("sh", "-c", "trap '' TERM INT; sleep 60 & wait; sleep 60")
    result = sandboxes.run(spec, timeout=0.3)
    assert result.status.timed_out
    assert (result.code, result.status.signal) == (137, 9)
    assert result.status.reason == "timed out after 0.3 seconds"


def test_an_unknown_user_is_a_clear_error(sandboxes: Sandboxes) -> None:
    with pytest.raises(
        UserError, match="unable to find user nobody: no matching entries in passwd file"
    ):
        sandboxes.run(sandboxes.spec("true", process={"user": "nobody"}))


def test_a_missing_lower_layer_is_a_setup_error_with_the_path(sandboxes: Sandboxes) -> None:
    with pytest.raises(SetupError, match=r"cannot mount the root: .*: /does/not/exist"):
        sandboxes.run(sandboxes.spec("true", lowers=("/does/not/exist",)))


def test_times_and_memory_are_measured(sandboxes: Sandboxes) -> None:
    status = sandboxes.sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").status
    assert status.user_seconds + status.system_seconds > 0
    assert status.wall_seconds > 0
    assert status.peak_memory > 1 << 20


@needs_root
def test_steps_run_at_the_same_time_from_several_threads(as_root: Sandboxes) -> None:
    # Each waits for the file that the other one makes, in a directory both have.
    shared = as_root.call("new")
    program = "touch /s/$0; while ! test -e /s/$1; do sleep 0.01; done"
    codes: list[int] = []

    def run(zygote: Zygote, mine: str, other: str) -> None:
        spec = _plain(as_root, "sh", "-c", program, mine, other, shared=shared)
        codes.append(zygote.run(spec, timeout=30).code)

    with Zygote.start() as zygote:
        threads = [threading.Thread(target=run, args=(zygote, *names)) for names in ("ab", "ba")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert codes == [0, 0]


@needs_root
def test_closing_the_zygote_kills_what_runs(as_root: Sandboxes) -> None:
    spec = _plain(as_root, "sleep", "1000")
    with Zygote.start() as zygote:
        step = zygote.begin(spec, stdout=2)
        step.terminal()
    with pytest.raises(Exception, match="ended together with its zygote"):
        step.wait()


@needs_root
def test_the_thread_that_started_the_zygote_may_end(as_root: Sandboxes) -> None:
    started: list[Zygote] = []
    thread = threading.Thread(target=lambda: started.append(Zygote.start()))
    thread.start()
    thread.join()
    with started[0] as zygote:
        assert [zygote.run(_plain(as_root, "true")).code for _ in range(3)] == [0, 0, 0]


@needs_root
def test_everything_dies_with_a_caller_that_is_killed(as_root: Sandboxes) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            zygote = Zygote.start()
            step = zygote.begin(_plain(as_root, "sleep", "1000"), stdout=write)
            step.terminal()
            os.write(write, b"r")
            os.kill(os.getpid(), 9)
        finally:
            os._exit(1)
    os.close(write)
    os.waitpid(pid, 0)
    assert os.read(read, 10) == b"r"
    # The end of the pipe: whoever held it is gone.
    assert os.read(read, 10) == b""
    os.close(read)


@needs_root
def test_a_signal_that_the_program_does_not_handle_ends_it_all_the_same(
    as_root: Sandboxes,
) -> None:
    with Zygote.start() as zygote:
        step = zygote.begin(_plain(as_root, "sleep", "1000"), stdout=2)
        step.terminal()
        step.signal(15)
        status = step.wait()
    assert (status.code, status.signal) == (143, 15)


@needs_root
def test_a_signal_that_the_program_handles_is_its_own_affair(as_root: Sandboxes) -> None:
    read, write = os.pipe()
    program = "trap 'exit 5' TERM; echo; while :; do sleep 0.01; done"
    with Zygote.start() as zygote:
        step = zygote.begin(_plain(as_root, "sh", "-c", program), stdout=write)
        os.close(write)
        assert os.read(read, 1) == b"\n"
        step.signal(15)
        assert step.wait().code == 5
    os.close(read)


def _plain(sandboxes: Sandboxes, *args: str, shared: str | None = None) -> SandboxSpec:
    mounts = () if shared is None else (Bind(shared, "/s", readonly=False),)
    process = Process(args, env=(("PATH", "/bin"),))
    return SandboxSpec(root=RootFs((sandboxes.root,)), process=process, mounts=mounts)
