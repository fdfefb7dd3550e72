"""Containers that stay: run detached, looked at, ended, and gone without a trace."""

import json
import os
import pty
import signal
import socket
import struct
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import kernel, tun
from tests.callers import Caller, networked
from tests.leftovers import nothing_left
from tests.program import Pybuild

SERVE = "mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"
WAIT = "trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 0.02; done"
PATIENCE = 20.0


@pytest.fixture
def pybuild(caller: Caller) -> Iterator[Pybuild]:
    """Give pybuild on a new store; whatever is left of containers at the end is an error."""
    program = caller.fresh()
    with nothing_left(program):
        yield program
        program("rm", "-f", "-a", "-v").ok()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that comes to pass by itself."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state(pybuild: Pybuild, name: str) -> Any:
    return pybuild.inspect(name)["State"]


def detached(pybuild: Pybuild, name: str, script: str, *options: str) -> str:
    done = pybuild("run", "-d", "--name", name, *options, "busybox", "sh", "-c", script).ok()
    return done.output.strip()


def monitor_of(inside: int) -> int:
    """Return the monitor of the container whose process 1 this is."""
    return int(Path(f"/proc/{inside}/stat").read_text().rpartition(")")[2].split()[1])


def logged(pybuild: Pybuild, name: str) -> str:
    return pybuild("logs", name).ok().output


def test_a_detached_container_lives_on_and_ends_by_its_stop_signal(pybuild: Pybuild) -> None:
    identity = detached(pybuild, "one", WAIT, "--network", "none")
    assert len(identity) == 64
    until(lambda: "ready\n" in logged(pybuild, "one"))
    assert "one" in pybuild("ps").ok().output
    assert pybuild("exec", "one", "cat", "/proc/1/cmdline").ok().output.startswith("sh")
    assert pybuild("stop", "one").ok().output == "one\n"
    assert "one" not in pybuild("ps").ok().output
    assert "Exited (3)" in pybuild("ps", "-a").ok().output
    assert logged(pybuild, "one") == "ready\nended\n"
    assert pybuild("wait", "one").ok().output == "3\n"
    assert pybuild("rm", "one").ok().output == "one\n"
    assert pybuild("ps", "-aq").ok().output == ""


def test_what_ignores_the_stop_signal_is_killed(pybuild: Pybuild) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.02; done"
    detached(pybuild, "deaf", script, "--network", "none", "--stop-timeout", "0.2")
    until(lambda: "ready" in logged(pybuild, "deaf"))
    pybuild("stop", "deaf").ok()
    assert state(pybuild, "deaf")["ExitCode"] == 137


def test_a_restart_does_not_keep_a_stop_waiting(pybuild: Pybuild) -> None:
    script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done"
    detached(pybuild, "box", script, "--network", "none")
    until(lambda: "ready" in logged(pybuild, "box"))
    stopping = pybuild.start("stop", "-t", "100", "box")
    until(lambda: "asked" in logged(pybuild, "box"))
    pybuild("restart", "-t", "0", "box").ok()
    stopping.communicate(timeout=PATIENCE)
    assert stopping.returncode == 0
    assert state(pybuild, "box")["Status"] == "running"


def test_what_it_wrote_is_there_at_its_next_start(pybuild: Pybuild) -> None:
    script = "echo again >> /log; cat /log"
    pybuild("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", script).ok()
    done = pybuild("start", "-a", "box").ok()
    assert done.output == "again\nagain\n"
    assert logged(pybuild, "box") == "again\nagain\nagain\n"
    assert "A /log" in pybuild("diff", "box").ok().output


def test_a_container_is_known_by_name_and_id_and_its_beginning(pybuild: Pybuild) -> None:
    identity = detached(pybuild, "known", WAIT, "--network", "none")
    for text in ("known", identity, identity[:12], identity[:5]):
        assert pybuild.inspect(text)["Id"] == identity
    again = pybuild("run", "--name", "known", "busybox", "true")
    assert again.status == 125
    assert "is taken" in again.errors
    other = pybuild("run", "-d", "--replace", "--name", "known", "busybox", "sleep", "100").ok()
    assert pybuild.inspect("known")["Id"] == other.output.strip() != identity
    assert "no container" in pybuild("exec", "nobody", "true").errors


def test_exec_has_streams_a_status_and_an_environment_of_its_own(pybuild: Pybuild) -> None:
    detached(pybuild, "box", WAIT, "--network", "none", "-e", "A=own")
    script = "cat; echo $A $B $(pwd) $(id -u) >&2; exit 9"
    done = pybuild(
        *("exec", "-i", "-e", "B=more", "-w", "/tmp", "-u", "7", "box", "sh", "-c", script),
        stdin="given",
    )
    assert (done.status, done.output, done.errors) == (9, "given", "own more /tmp 7\n")
    assert pybuild("exec", "box", "no-such").status == 127
    done = pybuild("exec", "-w", "/no/such", "box", "pwd")
    assert (done.status, "directory /no/such: no such file" in done.errors) == (125, True)
    assert pybuild("exec", "box", "sh", "-c", "kill -9 $$").status == 137
    pybuild("exec", "-d", "box", "sh", "-c", "echo done > /tmp/mark; sleep 1000").ok()
    until(lambda: pybuild("exec", "box", "cat", "/tmp/mark").output == "done\n")
    assert "sleep 1000" in pybuild("top", "box").ok().output


def test_waiting_for_what_a_container_is(pybuild: Pybuild) -> None:
    pybuild("create", "-it", "--name", "box", "--network", "none", "busybox", "sleep", "999").ok()
    assert pybuild("wait", "--condition", "created", "box").ok().output == "-1\n"
    for words in (("wait", "--condition", "healthy"), ("pause",), ("unpause",), ("top",)):
        assert "container box is not running" in pybuild(*words, "box").errors
    row = json.loads(pybuild("stats", "-a", "--no-stream", "--format", "json").ok().output)
    assert (row["Name"], row["CPUPerc"], row["PIDs"]) == ("box", "0.00%", "0")
    refused = pybuild("start", "-ai", "box")
    assert (refused.status, "not a terminal" in refused.errors) == (2, True)
    pybuild("start", "box").ok()
    either = ("--condition", "exited", "--condition", "running", "-i", "10ms")
    assert pybuild("wait", *either, "box").ok().output == "-1\n"
    pybuild("kill", "box").ok()
    either = ("--condition", "stopped", "--condition", "paused", "-i", "5")
    assert pybuild("wait", *either, "box").ok().output == "137\n"
    assert pybuild("wait", "-i", "soon", "box").status == 2
    assert pybuild("stats", "-a", "box").status == 2


def test_exec_with_a_terminal(pybuild: Pybuild) -> None:
    detached(pybuild, "box", WAIT, "--network", "none")
    ours, theirs = pty.openpty()
    run = pybuild.start(
        *("exec", "-it", "box", "sh", "-c", "tty; read line; echo got $line; exit 4"),
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    told = b""
    while b"/dev/pts/" not in told:
        told += os.read(ours, 1000)
    os.write(ours, b"typed\r")
    while b"got typed" not in told:
        told += os.read(ours, 1000)
    assert run.wait(PATIENCE) == 4
    os.close(ours)


def test_leaving_by_keys_and_coming_back(pybuild: Pybuild) -> None:
    ours, theirs = pty.openpty()
    script = "echo ready; read line; echo got $line; read line"
    run = pybuild.start(
        *("run", "-it", "--name", "box", "--network", "none", "busybox", "sh", "-c", script),
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    told = b""
    while b"ready" not in told:
        told += os.read(ours, 1000)
    os.write(ours, b"\x10\x11")
    assert run.wait(PATIENCE) == 0
    assert state(pybuild, "box")["Status"] == "running"
    again = pybuild.start("attach", "box", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    told = b""
    os.write(ours, b"hello\r")
    while b"got hello" not in told:
        told += os.read(ours, 1000)
    os.write(ours, b"\r")
    assert again.wait(PATIENCE) == 0
    os.close(ours)


def test_nothing_is_left_of_a_container_with_rm(pybuild: Pybuild) -> None:
    pybuild("run", "--rm", "-v", "/data", "busybox", "touch", "/data/x").ok()
    identity = detached(pybuild, "short", "sleep 0.1", "--rm", "--network", "none")
    until(lambda: not (pybuild.root / "containers" / identity).exists())
    assert os.listdir(pybuild.root / "containers/names") == []
    assert os.listdir(pybuild.root / "volumes") == []


def test_a_killed_monitor_takes_its_container_along(pybuild: Pybuild) -> None:
    detached(pybuild, "box", "sleep 1000", "--network", "none")
    inside = state(pybuild, "box")["Pid"]
    os.kill(monitor_of(inside), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{inside}").exists())
    found = state(pybuild, "box")
    assert (found["Status"], found["ExitCode"]) == ("exited", 137)
    pybuild("start", "box").ok()
    assert state(pybuild, "box")["Status"] == "running"


@pytest.mark.parametrize("words", [("ps",), ("run", "--rm", "--name", "box", "busybox", "true")])
def test_a_killed_monitor_leaves_nothing_of_a_container_with_rm(
    pybuild: Pybuild, words: tuple[str, ...]
) -> None:
    detached(pybuild, "box", "sleep 1000", "--rm", "--network", "none", "-v", "/data")
    os.kill(monitor_of(state(pybuild, "box")["Pid"]), signal.SIGKILL)
    until(lambda: state(pybuild, "box")["Status"] == "exited")
    pybuild(*words).ok()
    assert os.listdir(pybuild.root / "containers/names") == []
    assert os.listdir(pybuild.root / "volumes") == []


def test_a_caller_whose_monitor_is_killed_removes_a_container_with_rm(pybuild: Pybuild) -> None:
    words = ("run", "--rm", "--name", "box", "--network", "none", "-v", "/data", "busybox")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(pybuild, *words, "sleep", "1000")
        names = pybuild.root / "containers/names"
        until(lambda: (names / "box").exists() and state(pybuild, "box")["Status"] == "running")
        os.kill(monitor_of(state(pybuild, "box")["Pid"]), signal.SIGKILL)
        assert run.result().status == 137
    assert os.listdir(names) == []
    assert os.listdir(pybuild.root / "volumes") == []


def test_a_container_that_fails_is_started_again(pybuild: Pybuild) -> None:
    script = "echo x >> /tries; test $(wc -l < /tries) -ge 3"
    detached(pybuild, "box", script, "--network", "none", "--restart", "on-failure:5")
    assert pybuild("wait", "box").ok().output == "0\n"
    assert pybuild.inspect("box")["RestartCount"] == 2
    detached(pybuild, "ever", "sleep 0.1", "--network", "none", "--restart", "always")
    until(lambda: pybuild.inspect("ever")["RestartCount"] > 1)
    pybuild("stop", "ever").ok()
    assert state(pybuild, "ever")["Status"] == "exited"


def test_health_follows_the_check(pybuild: Pybuild) -> None:
    options = ("--health-cmd", "test -e /well", "--health-interval", "100ms")
    detached(pybuild, "box", WAIT, "--network", "none", *options, "--health-retries", "2")
    assert state(pybuild, "box")["Health"]["Status"] in ("starting", "unhealthy")
    pybuild("wait", "--condition", "unhealthy", "box").ok()
    pybuild("exec", "box", "touch", "/well").ok()
    pybuild("wait", "--condition", "healthy", "box").ok()
    assert "(healthy)" in pybuild("ps").ok().output
    assert state(pybuild, "box")["Health"]["Log"][-1]["ExitCode"] == 0
    events = pybuild("events", "--no-stream").ok().output
    assert "health_status: unhealthy" in events
    assert "health_status: healthy" in events
    pybuild("kill", "box").ok()
    pybuild("wait", "box").ok()
    assert state(pybuild, "box")["Health"]["Status"] == "unhealthy"


def test_logs_can_be_followed_and_cut(pybuild: Pybuild) -> None:
    script = "for i in 1 2 3 4; do echo $i; done; echo no >&2; read line < /go; echo end"
    detached(pybuild, "box", f"mkfifo /go; {script}", "--network", "none")
    until(lambda: "4" in logged(pybuild, "box"))
    # It ends by itself, though the container does not.
    assert pybuild("logs", "-f", "--until", "0s", "box").ok().output == "1\n2\n3\n4\n"
    following = pybuild.start("logs", "-f", "--tail", "2", "box")
    assert following.stdout is not None
    assert following.stdout.readline() == b"4\n"
    # It may end with the container, which ends at that.
    pybuild("exec", "box", "sh", "-c", "echo > /go")
    output, errors = following.communicate(timeout=PATIENCE)
    assert (output, errors) == (b"end\n", b"no\n")
    assert pybuild("logs", "--tail", "1", "box").ok().output == "end\n"
    assert pybuild("logs", "--since", "1h", "box").ok().output.startswith("1\n")
    assert pybuild("logs", "--until", "1h", "box").ok().output == ""
    stamped = pybuild("logs", "-t", "box").ok().output.splitlines()[0]
    assert stamped.endswith("Z 1")


def test_files_go_in_and_out(pybuild: Pybuild, caller: Caller) -> None:
    place = caller.tree(caller.place(), "file a/b/one text=one", "link a/link -> /etc/passwd")
    detached(pybuild, "box", WAIT, "--network", "none")
    for running in (True, False):
        pybuild("cp", place / "a", "box:/copied").ok()
        out = place / f"out{running}"
        pybuild("cp", "box:/copied", out).ok()
        assert (out / "b/one").read_text() == "one"
        assert os.readlink(out / "link") == "/etc/passwd"
        archive = place / f"all{running}.tar"
        pybuild("export", "-o", archive, "box").ok()
        with tarfile.open(archive) as tar:
            assert "copied/b/one" in tar.getnames()
        if running:
            pybuild("stop", "box").ok()
    pybuild("cp", place / "a/b/one", "box:/copied/two").ok()
    assert pybuild("cp", "box:/copied/two", "-").ok().output[:3] == "two"
    assert "no such file" in pybuild("cp", "box:/none", place).errors
    assert "from container to container" in pybuild("cp", "box:/a", "box:/b").errors
    assert "neither path may be empty" in pybuild("cp", "", "box:/b").errors


def test_a_link_inside_leads_nowhere_outside(pybuild: Pybuild, caller: Caller) -> None:
    place = caller.tree(caller.place(), "file secret text=host", "file new text=new")
    script = f"ln -s {place} /out; ln -s {place}/secret /file; echo ready; sleep 1000"
    detached(pybuild, "box", script, "--network", "none")
    until(lambda: "ready" in logged(pybuild, "box"))
    for _ in range(2):
        assert pybuild("cp", "box:/out/secret", place / "stolen").status != 0
        assert pybuild("cp", place / "new", "box:/out/secret").status != 0
        pybuild("stop", "box").ok()
    assert (place / "secret").read_text() == "host"
    assert not (place / "stolen").exists()


def test_an_image_of_what_a_container_is(pybuild: Pybuild) -> None:
    script = "echo kept > /file; rm /bin/vi"
    pybuild("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", script).ok()
    assert "ERROR: invalid name" in pybuild("commit", "box", ":bad").errors
    pybuild("commit", "-c", 'CMD ["cat", "/file"]', "-m", "why", "box", "made").ok()
    assert pybuild("run", "--rm", "--network", "none", "made").ok().output == "kept\n"
    assert pybuild("run", "--rm", "--network", "none", "made", "ls", "/bin/vi").status != 0
    assert pybuild("inspect", "-t", "image", "made").ok().output.count('"why"') >= 1


def test_layers_of_a_container_outlive_its_image(pybuild: Pybuild) -> None:
    detached(pybuild, "box", "sleep 1000", "--network", "none")
    refused = pybuild("rmi", "busybox")
    assert refused.status == 1
    assert "image busybox is being used by running container box (" in refused.errors
    pybuild("tag", "busybox", "other").ok()
    pybuild("rmi", "busybox").ok()
    pybuild("prune", "-a", "-f").ok()
    pybuild("rmi", "-f", "other").ok()
    pybuild("prune", "-a", "-f").ok()
    assert pybuild("exec", "box", "echo", "still").ok().output == "still\n"
    pybuild("restart", "-t", "0", "box").ok()
    assert pybuild("exec", "box", "echo", "again").ok().output == "again\n"


def test_files_of_another_image_are_shown(pybuild: Pybuild, caller: Caller) -> None:
    dockerfile = "FROM busybox\nRUN mkdir /d; echo one > /d/f; chown 7:8 /d/f; ln -s /d /l"
    pybuild.build(caller.context(dockerfile), name="data").ok()
    pybuild.build(caller.context("FROM scratch\nCOPY f /\n", "file f text=flat"), name="flat").ok()
    script = "cat /m/f /a/f /f; stat -c %u:%g /m/f; touch /m/x /a/x 2>/dev/null || echo no; exit 3"
    mounts = ("data,target=/m,subpath=l", "flat,target=/a", "data,target=/f,subpath=../l/../d/f")
    options = [f"--mount=type=image,source={text}" for text in mounts]
    options += ["--name", "box", "--network", "none", "--restart", "on-failure:1"]
    done = pybuild("run", *options, "busybox", "sh", "-c", script)
    assert (done.status, done.output) == (3, "one\nflatone\n7:8\nno\n" * 2)
    assert "being used by container box" in pybuild("rmi", "data").errors
    pybuild("rmi", "-f", "data", "flat").ok()
    pybuild("prune", "--all", "--force").ok()
    assert pybuild("start", "-a", "box").output.startswith("one\nflat")
    assert "/m" not in pybuild("diff", "box").ok().output
    refused = "--mount=type=image,source=busybox,target=/m,subpath=no/such"
    done = pybuild("run", refused, "busybox", "true")
    assert (done.status, "busybox: no/such: no such file" in done.errors) == (125, True)


def test_volumes_keep_what_is_in_them(pybuild: Pybuild, caller: Caller) -> None:
    context = caller.context(
        "FROM busybox\nRUN mkdir /data && echo seed > /data/seed && chmod 1770 /data\n"
        "VOLUME /data\n"
    )
    pybuild.build(context, name="seeded").ok()
    pybuild("volume", "create", "--label", "a=b", "empty").ok()
    script = "cat /data/seed; stat -c %a /data; echo new >> /data/seed"
    for lines in ("seed\n1770\n", "seed\nnew\n1770\n"):
        done = pybuild("run", "--rm", "-v", "named:/data", "seeded", "sh", "-c", script).ok()
        assert done.output == lines
    assert pybuild("volume", "ls", "-q").ok().output == "empty\nnamed\n"
    pybuild("run", "--name", "box", "seeded", "true").ok()
    (anonymous,) = set(pybuild("volume", "ls", "-q").output.split()) - {"empty", "named"}
    assert "is used by" in pybuild("volume", "rm", anonymous).errors
    # What comes to nothing leaves none behind.
    assert pybuild("create", "--name", "box", "-v", "fresh:/x", "seeded").status
    assert pybuild("create", "--network", "container:nobody", "seeded").status
    assert set(pybuild("volume", "ls", "-q").output.split()) == {"empty", "named", anonymous}
    pybuild("rm", "-v", "box").ok()
    pybuild("volume", "rm", "named", "empty").ok()
    assert pybuild("volume", "rm", "named").errors == (
        "ERROR: there is no volume named\nhint: 'pybuild volume ls' lists them\n"
    )
    assert pybuild("volume", "ls", "-q").ok().output == ""


def test_pausing_stops_everything(pybuild: Pybuild, caller: Caller) -> None:
    if caller.kind != "root":
        detached(pybuild, "box", WAIT, "--network", "none")
        done = pybuild("pause", "box")
        assert done.status in (0, 1)
        assert done.status == 0 or "control group" in done.errors
        return
    script = "while :; do echo x >> /ticks; sleep 0.01; done"
    detached(pybuild, "box", script, "--network", "none")
    until(lambda: "x" in pybuild("exec", "box", "cat", "/ticks").output)
    pybuild("pause", "box").ok()
    assert "(Paused)" in pybuild("ps").ok().output
    assert pybuild("exec", "box", "true").status == 125
    assert pybuild("exec", "nobody", "true").status == 125
    pybuild("unpause", "box").ok()
    assert pybuild("exec", "box", "true").status == 0
    pybuild("pause", "box").ok()
    pybuild("stop", "-t", "0", "box").ok()
    pybuild("start", "box").ok()
    inside = state(pybuild, "box")["Pid"]
    pybuild("pause", "box").ok()
    os.kill(monitor_of(inside), signal.SIGKILL)
    until(lambda: state(pybuild, "box")["Status"] == "exited")
    pybuild("rm", "box").ok()
    until(lambda: not Path(f"/proc/{inside}").exists())


def test_the_init_reaps_orphans_and_passes_signals_on(pybuild: Pybuild) -> None:
    done = pybuild("run", "--rm", "--init", "--network", "none", "busybox", "true")
    if "static init" in done.errors:
        pytest.skip("this machine has no static init")
    script = "sh -c 'sleep 0.1 & exit' ; sleep 0.5; ps -o stat | grep -c Z; cat /proc/1/comm"
    done = pybuild("run", "--rm", "--init", "--network", "none", "busybox", "sh", "-c", script)
    assert done.output.splitlines()[0] == "0"
    assert done.output.splitlines()[1] != "sh"


def test_secrets_are_shown_and_not_kept(pybuild: Pybuild, caller: Caller) -> None:
    place = caller.tree(caller.place(), "file token text=hidden-value")
    options = ("--name", "box", "--network", "none", "--secret", f"id=token,src={place}/token")
    script = "cat /run/secrets/token; stat -c ' %a' /run/secrets/token"
    done = pybuild("run", *options, "busybox", "sh", "-c", script).ok()
    assert done.output == "hidden-value 400\n"
    (place / "token").unlink()
    for directory, _names, files in os.walk(pybuild.root / "containers"):
        for name in files:
            if name not in ("log", "control"):
                assert b"hidden-value" not in Path(directory, name).read_bytes()


def test_a_timeout_is_told(pybuild: Pybuild) -> None:
    done = pybuild("run", "--rm", "--network", "none", "--timeout", "0.3", "busybox", "sleep", "99")
    assert done.status == 137
    assert "timed out after 0.3 seconds" in done.errors


def test_the_id_is_written_and_the_file_must_be_new(pybuild: Pybuild, caller: Caller) -> None:
    path = caller.place() / "id"
    options = ("run", "--cidfile", path, "--network", "none")
    pybuild(*options, "busybox", "true").ok()
    assert pybuild.inspect(path.read_text())["Id"] == path.read_text()
    assert pybuild(*options, "busybox", "true").status == 125


def test_a_container_can_be_made_first_and_started_later(pybuild: Pybuild, caller: Caller) -> None:
    path = caller.place() / "id"
    options = ("--cidfile", path, "--name", "later", "--network", "none")
    made = pybuild("create", *options, "busybox", "echo", "begun").ok()
    assert made.output.strip() == path.read_text()
    assert state(pybuild, "later")["Status"] == "created"
    assert pybuild("start", "-a", "later").ok().output == "begun\n"
    assert state(pybuild, "later")["Status"] == "exited"


def test_a_container_that_cannot_be_made_leaves_no_file_with_its_id(
    pybuild: Pybuild, caller: Caller
) -> None:
    path = caller.place() / "id"
    failed = pybuild("create", "--cidfile", path, "--rootfs", "/nowhere", "true")
    assert failed.status
    assert not path.exists()


def test_a_run_that_cannot_be_leaves_no_file_with_an_id(pybuild: Pybuild, caller: Caller) -> None:
    path = caller.place() / "id"
    failed = pybuild("run", "--cidfile", path, "--pull", "never", "missing")
    assert failed.status == 125
    assert not path.exists()


def test_children_are_waited_for_where_the_caller_ignores_their_end(pybuild: Pybuild) -> None:
    # Which is handed on to programs, and has the kernel keep no exit status.
    heedless = partial(
        pybuild, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN) and None
    )
    failed = heedless("run", "--rm", "--pull", "never", "missing")
    assert (failed.status, "no image is called 'missing'" in failed.errors) == (125, True)
    (pybuild.cwd / "Dockerfile").write_text("FROM busybox\nRUN exit 3\n")
    errors = heedless("build", "-q", "--network", "none", ".").errors
    assert ("exit code: 3" in errors, "no child processes" in errors) == (True, False)


def test_a_container_whose_run_is_ended_before_it_starts_goes_again(pybuild: Pybuild) -> None:
    imports, _, call = pybuild.words[-1].rpartition("; ")
    patch = (
        "import os\n"
        "from runtime import starting\n"
        "from buildkit.containers.store import ContainerStore as store\n"
        "from buildkit.containers.volumes import VolumeStore\n"
        "from buildkit.cli import running\n"
        "place, number = sys.argv.pop(1), int(sys.argv.pop(1))\n"
        "made, new, end = running.made, VolumeStore.ensure, lambda: os.kill(os.getpid(), number)\n"
        "if place == 'start': starting.start = lambda *_, **__: end()\n"
        "if place == 'event': store.event = lambda *given, **_: given[2] == 'create' and end()\n"
        "if place == 'made': running.made = lambda *given: (made(*given), end())\n"
        "if place == 'volume': VolumeStore.ensure = lambda *a, **b: (new(*a, **b), end())\n"
    )
    for place, number, words, kept in (
        ("volume", signal.SIGHUP, ("run",), 0),
        ("event", signal.SIGINT, ("create",), 0),
        ("made", signal.SIGTERM, ("run", "--rm"), 0),
        ("start", signal.SIGINT, ("run", "--rm"), 0),
        ("start", signal.SIGTERM, ("run",), 1),
    ):
        start = (*pybuild.words[:-1], f"{imports}\n{patch}{call}", place, f"{number:d}")
        other = Pybuild(
            pybuild.root, pybuild.cwd, pybuild.environment, words=start, identity=pybuild.identity
        )
        done = other(*words, "-v", "/data", "--network", "none", "busybox", "true")
        assert (done.status, done.errors) == (128 + number, "ERROR: cancelled\n")
        left = [one.name for one in (pybuild.root / "containers").iterdir() if len(one.name) == 64]
        volumes = list((pybuild.root / "volumes").iterdir())
        assert (len(left), len(volumes)) == (kept, kept)
        assert not list((pybuild.root / "tmp").iterdir())
    assert pybuild("ps", "-a", "--format", "{{.State}}").ok().output == "created\n"


def test_inspect_of_two_words_is_about_one_kind(pybuild: Pybuild) -> None:
    pybuild("create", "--name", "busybox", "--network", "none", "busybox", "true").ok()
    for kind, has in (("container", "HostConfig"), ("image", "RepoTags")):
        (found,) = json.loads(pybuild(kind, "inspect", "busybox").ok().output)
        assert has in found
    pybuild("rm", "busybox").ok()
    assert pybuild("container", "inspect", "busybox").status != 0


def test_a_container_gets_another_name(pybuild: Pybuild) -> None:
    identity = detached(pybuild, "old", WAIT, "--network", "none")
    detached(pybuild, "other", WAIT, "--network", "none")
    pybuild("rename", "old", "new").ok()
    assert pybuild.inspect("new")["Id"] == identity
    assert pybuild("inspect", "old").status
    assert "is taken by container" in pybuild("rename", "new", "other").errors
    assert "invalid container name" in pybuild("rename", "new", ".x").errors
    assert pybuild("container", "ls", "--format", "{{.Names}}").ok().output == "other\nnew\n"
    pybuild("rm", "-f", "new", "other").ok()
    detached(pybuild, "new", WAIT, "--network", "none")


def test_a_program_that_cannot_be_executed_is_told_also_by_who_does_not_stay(
    pybuild: Pybuild,
) -> None:
    detach = ("run", "-d", "--network", "none")
    for options, program, code, message in (
        (("--name", "absent"), "nope", 127, "nope: not found in the PATH"),
        (("--rm", "--restart", "no"), "nope", 127, "nope: not found in the PATH"),
        (("-t", "--restart", "always", "--name", "wrong"), "/bin", 126, "/bin: is a directory"),
    ):
        done = pybuild(*detach, *options, "busybox", program)
        assert (done.status, done.output) == (code, "")
        assert done.errors == f"pybuild: {message}\n"
    states = [pybuild.inspect(name)["State"] for name in ("absent", "wrong")]
    assert [(state["Status"], state["ExitCode"]) for state in states] == [
        ("exited", 127),
        ("exited", 126),
    ]
    for command in ("start", "restart"):
        done = pybuild(command, "absent")
        assert (done.status, done.output) == (1, "")
        assert done.errors == "ERROR: nope: not found in the PATH\n"
    pybuild("rm", "absent", "wrong").ok()
    for _ in range(3):  # its end may be seen before its start
        done = pybuild(*detach, "--rm", "busybox", "true").ok()
        assert len(done.output) == 65


def test_what_does_not_run_is_pruned(pybuild: Pybuild) -> None:
    detached(pybuild, "runs", WAIT, "--network", "none")
    kept = pybuild("create", "--label", "keep=1", "busybox", "true").ok().output
    ended = pybuild("run", "-d", "--network", "none", "busybox", "true").ok().output
    pybuild("wait", ended.strip()).ok()
    assert "add --force" in pybuild("container", "prune").errors
    assert "invalid time" in pybuild("container", "prune", "-f", "--filter", "until=x").errors
    young = pybuild("container", "prune", "-f", "--filter", "until=1h").ok()
    assert young.output == "Total reclaimed space: 0B\n"
    labelled = pybuild("container", "prune", "-f", "--filter", "label=keep=1").ok()
    assert labelled.output.splitlines()[0] == kept.strip()
    assert ended in pybuild("container", "prune", "-f").ok().output
    assert "name containers" in pybuild("rm", "-f").errors
    assert pybuild("ps", "-a", "--format", "{{.Names}}").ok().output == "runs\n"


@pytest.fixture(params=["bridge", *tun.HELPERS])
def on_network(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Root, whose containers are on a bridge, and an ordinary user with each kind of helper."""
    if request.param == "bridge":
        kernel.require("bridge")
        yield request.getfixturevalue("as_root")
        return
    with networked(request.getfixturevalue("as_rootless"), request.param) as caller:
        yield caller


def test_it_can_be_started_and_removed_at_once_when_it_has_ended(on_network: Caller) -> None:
    pybuild = on_network.fresh()
    for _ in range(3):  # its network is still there for a moment
        pybuild("run", "--name", "brief", "busybox", "true").ok()
        pybuild("start", "-a", "brief").ok()
        pybuild("rm", "brief").ok()


def test_the_lock_of_their_network_goes_with_its_keeper_alone(as_rootless: Caller) -> None:
    kernel.require("tun")
    with networked(as_rootless, tun.HELPERS[0]) as caller:
        pybuild = caller.fresh()
        detached(pybuild, "user", WAIT)
        lock = pybuild.root / "network/keeper"
        holder = Path("/proc", lock.read_text())
        try:
            held = [os.readlink(fd) for fd in (holder / "fd").iterdir()]
        finally:
            pybuild("rm", "-f", "user").ok()
        assert str(lock) not in held
        until(lambda: not holder.exists())


def test_a_server_answers_on_the_loopback_and_to_its_neighbours(
    on_network: Caller, request: pytest.FixtureRequest
) -> None:
    pybuild = on_network.fresh()
    request.addfinalizer(lambda: pybuild("rm", "-f", "-a"))
    with nothing_left(pybuild):
        detached(pybuild, "web", SERVE, "-p", "127.0.0.1::80", "-p", "127.0.0.1::80/udp")
        place = pybuild("port", "web", "80").ok().output.strip()
        until(lambda: answers(place))
        with urllib.request.urlopen(f"http://{place}/", timeout=10) as answer:
            assert answer.read() == b"hello\n"
        done = pybuild("run", "--rm", "busybox", "wget", "-qO-", "http://web/").ok()
        assert done.output == "hello\n"
        detached(pybuild, "second", WAIT)
        until(lambda: "second" in pybuild("exec", "web", "cat", "/etc/hosts").output)
        row = json.loads(pybuild("stats", "--no-stream", "--format", "json", "web").ok().output)
        assert row["PIDs"] == "1"
        assert float(row["MemUsage"].split("k")[0].split("M")[0]) > 0
        pybuild("rm", "-f", "second").ok()
        assert "second" not in pybuild("exec", "web", "cat", "/etc/hosts").ok().output
        pybuild("stop", "web").ok()
        pybuild("rm", "web").ok()
        assert not answers(place)


@pytest.mark.parametrize("helper", tun.HELPERS)
def test_a_helper_asks_the_name_servers_of_the_machine(as_rootless: Caller, helper: str) -> None:
    kernel.require("tun")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.87", 53))
        server.settimeout(PATIENCE)
        answering = threading.Thread(target=answer_a_name, args=(server, "192.0.2.7"))
        with networked(as_rootless, helper, "127.0.0.87") as caller:
            pybuild = caller.fresh()
            answering.start()
            asking = ("timeout", "15", "nslookup", "-type=a", "host.example")
            done = pybuild("run", "--rm", "busybox", *asking)
        answering.join()
    assert "Name:\thost.example\nAddress: 192.0.2.7\n" in done.ok().output


def answer_a_name(server: socket.socket, address: str) -> None:
    """Answer one question for an address (RFC 1035, 4.1)."""
    asked, asker = server.recvfrom(512)
    question = asked[12 : asked.index(0, 12) + 5]
    head = asked[:2] + b"\x81\x80" + struct.pack(">4H", 1, 1, 0, 0)
    record = struct.pack(">3HIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address)
    server.sendto(head + question + record, asker)


@pytest.mark.parametrize("network", ["none", "default"])
def test_a_container_shares_the_network_of_another(as_root: Caller, network: str) -> None:
    if network == "default":
        kernel.require("bridge")
    pybuild = as_root.fresh()
    with nothing_left(pybuild):
        detached(pybuild, "web", SERVE, "--network", network)
        share, there = ("run", "--rm", "--network", "container:web", "busybox"), ("exec", "web")
        until(lambda: pybuild(*share, "wget", "-qO-", "http://127.0.0.1/").output == "hello\n")
        for command in ("hostname", "cat /etc/hosts", "cat /etc/resolv.conf", "ip addr"):
            words = command.split()
            # What changes meanwhile: neighbours that other tests have on the bridge, and the kernel
            # looks whether somebody else has the address, for a second or so.
            until(lambda words=words: _said(pybuild, share, words) == _said(pybuild, there, words))
        made = pybuild("create", "--network", "container:web", "busybox", "true").ok().output
        host = pybuild.inspect(made.strip())["HostConfig"]
        assert host["NetworkMode"] == f"container:{pybuild.inspect('web')['Id']}"
        pybuild("stop", "-t", "0", "web").ok()
        assert "whose network is to be shared, does not run" in pybuild(*share, "true").errors
        assert pybuild("start", made.strip()).status
        unknown = pybuild("run", "--network", "container:x", "busybox")
        assert "there is no container" in unknown.errors
        nameless = pybuild("run", "--network", "container:", "busybox")
        assert "unknown network 'container:'" in nameless.errors
        taken = pybuild("run", "-p", "80", "--network", "container:web", "busybox")
        assert "ports cannot be published" in taken.errors
        pybuild("rm", "-f", "-a").ok()


def _said(pybuild: Pybuild, place: tuple[str, ...], words: list[str]) -> str:
    return pybuild(*place, *words).ok().output


def answers(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_a_port_that_is_taken_is_told(pybuild: Pybuild) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        done = pybuild("run", "--rm", "-p", f"127.0.0.1:{number}:80", "busybox", "true")
    assert done.status == 125
    assert f"port 127.0.0.1:{number}/tcp" in done.errors


def test_events_are_told_in_order(pybuild: Pybuild) -> None:
    pybuild("run", "--rm", "--name", "box", "--network", "none", "busybox", "false")
    done = pybuild("events", "--no-stream", "--filter", "container=box", "--format", "{{.Action}}")
    assert done.ok().output.split() == ["create", "start", "die", "destroy"]
    either = ("--filter", "event=die", "--filter", "event=start", "--format", "{{.Action}}")
    assert pybuild("events", "--no-stream", *either).ok().output.split() == ["start", "die"]
    assert pybuild("events", "--no-stream", "--filter", "event").status == 2


def test_containers_are_filtered(pybuild: Pybuild) -> None:
    detached(pybuild, "one", WAIT, "--network", "none", "--label", "a=1")
    pybuild("run", "--name", "two", "--network", "none", "busybox", "sh", "-c", "exit 5")
    shown = {
        "label=a": "one", "label=a=1": "one", "status=exited": "two", "exited=5": "two",
        "name=tw": "two", "label=a=2": "", "ancestor=busybox": "two one",
    }  # fmt: skip
    for text, names in shown.items():
        done = pybuild("ps", "-a", "--filter", text, "--format", "{{.Names}}").ok()
        assert done.output.split() == names.split(), text
    table = pybuild("ps", "-a", "--format", "table {{.Names}}\\t{{.State}}").ok().output
    assert [line.split() for line in table.splitlines()] == [
        ["NAMES", "STATE"], ["two", "exited"], ["one", "running"],
    ]  # fmt: skip
    assert pybuild("ps", "-n", "-1", "--format", "{{.Names}}").ok().output == "one\n"
    assert pybuild("ps", "-n", "1", "--format", "{{.Names}}").ok().output == "two\n"


def test_a_foreground_command_can_be_ended_from_elsewhere(pybuild: Pybuild) -> None:
    run = pybuild.start("run", "--name", "fore", "--network", "none", "busybox", "sh", "-c", WAIT)
    assert run.stdout is not None
    assert run.stdout.readline() == b"ready\n"
    pybuild("stop", "fore").ok()
    output, _errors = run.communicate(timeout=PATIENCE)
    assert (run.returncode, output) == (3, b"ended\n")


def test_a_reader_that_leaves_ends_the_writer(pybuild: Pybuild) -> None:
    run = pybuild.start(
        "run", "--rm", "--network", "none", "busybox", "yes", stderr=subprocess.STDOUT
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"y\n"
    run.stdout.close()
    assert run.wait(PATIENCE) in (1, 141)  # process 1 gets no SIGPIPE, but the error
