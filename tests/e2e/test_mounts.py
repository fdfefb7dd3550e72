"""RUN --mount from the command line to the files: every option, every default.

All cases of the table are stages of one Dockerfile, each with a mount and a command whose output
becomes a file; they are built once for each caller.
"""

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.callers import Caller
from tests.e2e.tools import needs_tool
from tests.program import Pybuild

SECRET = "a-value-nobody-else-has-7c1f"


class Case(NamedTuple):
    """A mount, a command under it, and what that prints; `before`: instructions of its stage."""

    mount: str
    command: str
    output: str
    before: str = ""


_STAT = "stat -c '%a %u:%g'"
_NOT_WRITABLE = "touch {} 2>/dev/null && echo written || echo refused"

CASES = {
    "a bind mount is of the context, and read-only": Case(
        "target=/m", f"cat /m/a; {_NOT_WRITABLE.format('/m/x')}", "hello\nrefused\n"
    ),
    "a source is below the root of its origin, whatever it says": Case(
        "type=bind,source=../../dir,target=/m", "ls /m", "inner\n"
    ),
    "a source can be a single file": Case("source=a,target=/m/b", "cat /m/b", "hello\n"),
    "a source is found through links": Case("source=link,target=/m", "ls /m", "inner\n"),
    "a bind mount takes writes and shows them with rw": Case(
        "target=/m,rw", "echo new > /m/a; rm -r /m/dir; cat /m/a; ls /m", "new\na\nlink\n"
    ),
    "a single file takes writes, too": Case(
        "source=a,target=/m,readwrite", "echo new > /m; cat /m", "new\n"
    ),
    "a pipe is never opened": Case(
        "from=tools,source=owned/p,target=/m,rw",
        f"{_STAT} /m; test -p /m && echo pipe",
        "640 7:8\npipe\n",
    ),
    "rw=false is read-only": Case("target=/m,rw=false", _NOT_WRITABLE.format("/m/x"), "refused\n"),
    "what the ignore file hides is not to be seen": Case("target=/m", "ls /m", "a\ndir\nlink\n"),
    "from names a stage": Case("from=tools,target=/m", "cat /m/tools/t", "tool\n"),
    "from names a stage by number": Case("from=0,source=tools,target=/m", "ls /m", "t\n"),
    "from names an image": Case("from=busybox,source=bin,target=/m", "/m/echo hi", "hi\n"),
    "from names a context": Case("from=more,target=/m", "cat /m/b", "more\n"),
    "a context shows its owner as 0:0, a stage who it is": Case(
        "from=tools,source=owned,target=/m", f"{_STAT} /m/f", "640 7:8\n"
    ),
    "a relative target joins the working directory": Case(
        "source=a,target=b/c", "cat /w/b/c", "hello\n", "WORKDIR /w"
    ),
    "a variable names a target": Case("target=$WHERE", "ls /m", "a\ndir\nlink\n", "ENV WHERE=/m"),
    "a user sees the mount as it is": Case(
        "target=/m", "id -u; cat /m/a", "65534\nhello\n", "USER 65534"
    ),
    "a cache is 0755 and root's": Case("type=cache,target=/m", f"{_STAT} /m; ls /m", "755 0:0\n"),
    "a cache has the mode and owner that it is given": Case(
        "type=cache,target=/m,mode=0750,uid=3,gid=4", f"{_STAT} /m", "750 3:4\n"
    ),
    "a cache can be read-only": Case(
        "type=cache,target=/m,ro", _NOT_WRITABLE.format("/m/x"), "refused\n"
    ),
    "a cache begins with what a stage has": Case(
        "type=cache,id=seeded,target=/m,from=tools,source=/tools",
        "cat /m/t; echo x > /m/y",
        "tool\n",
    ),
    "a cache that begins with scratch is empty": Case(
        "type=cache,id=none,target=/m,from=scratch", "ls /m", ""
    ),
    "a tmpfs is empty and anybody's": Case(
        "type=tmpfs,target=/m",
        "stat -c %a /m; ls /m; grep -c ' /m tmpfs' /proc/mounts",
        "1777\n1\n",
    ),
    "a tmpfs has the size that it is given": Case(
        "type=tmpfs,target=/m,size=64k",
        "dd if=/dev/zero of=/m/f bs=1k count=128 2>/dev/null; stat -c %s /m/f",
        "65536\n",
    ),
    "a secret is a file below /run/secrets, for root's eyes": Case(
        "type=secret,id=token",
        f"{_STAT} /run/secrets/token; wc -c < /run/secrets/token",
        "400 0:0\n28\n",
    ),
    "source is another word for id": Case(
        "type=secret,source=token", "wc -c < /run/secrets/token", "28\n"
    ),
    "a target alone names a secret by its last part": Case(
        "type=secret,target=/etc/deep/token", "wc -c < /etc/deep/token", "28\n"
    ),
    "a secret has the mode and owner that it is given": Case(
        "type=secret,id=token,target=/t,mode=0444,uid=5,gid=6", f"{_STAT} /t", "444 5:6\n"
    ),
    "a secret is a variable, and then no file": Case(
        "type=secret,id=token,env=TOKEN",
        'printf %s "$TOKEN" | wc -c; test -e /run/secrets/token || echo none',
        "28\nnone\n",
    ),
    "a secret is a variable and a file": Case(
        "type=secret,id=token,env=TOKEN,target=/t",
        'printf %s "$TOKEN" | cmp - /t && echo same',
        "same\n",
    ),
    "a secret lies in memory": Case(
        "type=secret,id=token,target=/t", "grep -c ' /t tmpfs' /proc/mounts", "1\n"
    ),
    "a secret is taken from a variable of the caller's": Case(
        "type=secret,id=fromenv", "cat /run/secrets/fromenv", "of the environment"
    ),
    "a secret that nobody gave is left out": Case(
        "type=secret,id=absent", "test -e /run/secrets || echo none", "none\n"
    ),
    "an agent that nobody gave is left out": Case(
        "type=ssh", 'test -e /run/buildkit || echo "none$SSH_AUTH_SOCK"', "none\n"
    ),
}

TREE = (
    "file a text=b'hello\\n'",
    "file dir/inner text=b'inner\\n'",
    "link link -> dir",
    "file hidden text=x",
    "file .dockerignore text=b'hidden\\n.dockerignore\\nDockerfile\\n'",
)


def dockerfile() -> str:
    lines = [
        "FROM busybox AS tools",
        "RUN mkdir /tools /owned && echo tool > /tools/t && echo f > /owned/f",
        "RUN mkfifo /owned/p && chmod 640 /owned/* && chown 7:8 /owned/*",
    ]
    for number, case in enumerate(CASES.values()):
        lines += [f"FROM busybox AS case-{number}", "RUN mkdir -m 1777 /out", case.before]
        lines.append(f"RUN --mount={case.mount} ({case.command}) > /out/said")
        # What a mount needed is gone in the next step.
        lines.append(
            "RUN ls -d /m /run/secrets /etc/deep /t /run/buildkit > /out/left 2>/dev/null; :"
        )
    lines.append("FROM scratch")
    lines += [f"COPY --from=case-{number} /out /{number}" for number in range(len(CASES))]
    return "\n".join(lines)


class Outputs(NamedTuple):
    """What the steps of all cases printed, and what was left of their mounts."""

    said: dict[str, str]
    left: dict[str, str]


def outputs_for(caller: Caller) -> Outputs:
    context = caller.context(dockerfile(), *TREE)
    more = caller.tree(caller.place("more"), "file b text=b'more\\n'")
    token = caller.place("secret") / "token"
    caller.write(token, SECRET)
    target = caller.place("out")
    caller.pybuild(
        "build",
        *("--secret", f"id=token,src={token}", "--secret", "id=fromenv"),
        "--no-secret-search",
        *("--build-context", f"more={more}", "-o", f"type=local,dest={target}", context),
        environment={"fromenv": "of the environment"},
    ).ok()
    said, left = (
        {name: (target / f"{number}/{file}").read_text() for number, name in enumerate(CASES)}
        for file in ("said", "left")
    )
    return Outputs(said, left)


@pytest.fixture(scope="module")
def outputs_of_root(as_root: Caller) -> Outputs:
    return outputs_for(as_root)


@pytest.fixture(scope="module")
def outputs_of_rootless(as_rootless: Caller) -> Outputs:
    return outputs_for(as_rootless)


@pytest.fixture(params=["root", "rootless"])
def outputs(request: pytest.FixtureRequest) -> Outputs:
    found = request.getfixturevalue(f"outputs_of_{request.param}")
    assert isinstance(found, Outputs)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_mount_does_what_it_says(outputs: Outputs, name: str) -> None:
    assert outputs.said[name] == CASES[name].output


@pytest.mark.parametrize("name", CASES)
def test_what_was_made_for_a_mount_is_gone_afterwards(outputs: Outputs, name: str) -> None:
    assert outputs.left[name] == ""


def test_a_required_secret_that_nobody_gave_ends_the_build(caller: Caller) -> None:
    context = caller.context("FROM busybox\nRUN --mount=type=secret,id=token,required true\n")
    done = caller.pybuild.build(context)
    assert done.status == 1
    assert "ERROR: failed to build: failed to solve: secret token: not found\n" in done.errors
    assert ">>> RUN --mount=type=secret,id=token,required true\n" in done.errors
    assert "hint: give it with --secret id=token,src=FILE or env=NAME" in done.errors


def test_a_required_agent_that_nobody_gave_ends_the_build(caller: Caller) -> None:
    context = caller.context("FROM busybox\nRUN --mount=type=ssh,id=key,required true\n")
    done = caller.pybuild.build(context)
    assert done.status == 1
    assert 'no SSH key "key" forwarded from the client\n' in done.errors


def test_a_cache_lasts_from_build_to_build_and_its_content_is_no_reason_to_run(
    caller: Caller,
) -> None:
    fresh = caller.fresh()
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo {0} >> /c/log; cat /c/log > /seen\n"
    for word in ("one", "two", "one"):
        context = caller.context(text.format(word))
        done = fresh.build(context, name=word).ok()
    assert "#2 CACHED" in done.errors
    assert fresh.run("two", "cat", "/seen").ok().output == "one\ntwo\n"


def test_a_cache_of_another_id_first_content_mode_or_owner_is_another(caller: Caller) -> None:
    mounts = ["", "id=x,", "mode=0700,", "uid=1,", "gid=1,", "from=seed,"]
    lines = ["FROM busybox AS seed", "FROM busybox"]
    # A second time each: it is empty only where it is another.
    lines += [
        f"RUN --mount=type=cache,{mount}target=/c ls -d /c/mark 2>/dev/null >> /list; touch /c/mark"
        for mount in mounts
    ]
    lines += [
        f"RUN --mount=type=cache,{mount}target=/c ls -d /c/mark >> /again" for mount in mounts
    ]
    fresh = caller.fresh()
    fresh.build(caller.context("\n".join(lines))).ok()
    assert fresh.run("test", "cat", "/list").ok().output == ""
    assert fresh.run("test", "cat", "/again").ok().output == "/c/mark\n" * len(mounts)


def test_the_namespace_of_cache_ids_keeps_builds_apart(caller: Caller) -> None:
    fresh = caller.fresh()
    context = caller.context("FROM busybox\nRUN --mount=type=cache,target=/c touch /c/x; ls /c/\n")
    for space in ("one", "two"):
        fresh.build(context, "--build-arg", f"BUILDKIT_CACHE_MOUNT_NS={space}").ok()
    assert len(list((fresh.root / "caches").iterdir())) == 2


_MEET = "touch /meet/{0}; until [ -e /meet/{1} ]; do sleep 0.02; done"
"""Say that we are there, and wait for the other."""


def _two(sharing: str, before: str, after: str) -> str:
    """Return two stages whose steps use one cache, and which meet between `before` and `after`."""
    stages = [
        f"FROM busybox AS {me}\n"
        f"RUN --mount=type=cache,id=c,target=/c,sharing={sharing} "
        f"--mount=type=cache,target=/meet {before.format(me)}; {_MEET.format(me, other)}; "
        f"{after.format(me)}\n"
        for me, other in (("a", "b"), ("b", "a"))
    ]
    return "".join(stages) + "FROM scratch\nCOPY --from=a /out /a\nCOPY --from=b /out /b\n"


@pytest.mark.parametrize(
    ("sharing", "seen"), [("shared", "a\nb\n"), ("private", "{me}\n")], ids=["shared", "private"]
)
def test_two_steps_use_a_cache_at_once(caller: Caller, sharing: str, seen: str) -> None:
    out = caller.place("out")
    context = caller.context(_two(sharing, "touch /c/{0}", "ls /c > /out"))
    caller.fresh()("build", "--jobs", "2", "-o", out, context, timeout=60).ok()
    for me in ("a", "b"):
        assert (out / me).read_text() == seen.format(me=me)


@pytest.mark.parametrize("sharing", ["shared", "private"])
def test_two_builds_use_a_cache_at_once(caller: Caller, sharing: str) -> None:
    context = caller.context(_two(sharing, "touch /c/{0}", "ls /c > /out"))
    fresh = caller.fresh()
    runs = [fresh.start("build", "--target", me, "-t", me, context) for me in ("a", "b")]
    for run in runs:
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors.decode()
    for me in ("a", "b"):
        expected = "a\nb\n" if sharing == "shared" else f"{me}\n"
        assert fresh.run(me, "cat", "/out").ok().output == expected


def test_a_private_cache_that_is_free_is_used_again(caller: Caller) -> None:
    fresh = caller.fresh()
    mount = "--mount=type=cache,sharing=private,target=/c"
    text = f"FROM busybox\nRUN {mount} echo {{0}} >> /c/l; cat /c/l\n"
    fresh.build(caller.context(text.format(1))).ok()
    assert " 1\n" in fresh.build(caller.context(text.format(2))).ok().errors


@pytest.mark.parametrize("places", [1, 2], ids=["one build", "two builds"])
def test_a_locked_cache_has_one_user_at_a_time(caller: Caller, places: int) -> None:
    step = (
        "RUN --mount=type=cache,sharing=locked,target=/c for i in 1 2 3; do"
        " test -e /c/in && echo both >> /c/log; touch /c/in; sleep 0.05; rm /c/in; done;"
        " echo {0} >> /c/log; cp /c/log /log\n"
    )
    text = "".join(f"FROM busybox AS {me}\n{step.format(me)}" for me in ("a", "b"))
    text += "FROM scratch\nCOPY --from=a /log /a\nCOPY --from=b /log /b\n"
    context = caller.context(text)
    fresh = caller.fresh()
    targets = [["--target", "a"], ["--target", "b"]] if places == 2 else [[]]
    runs = [fresh.start("build", "--jobs", "2", *target, context) for target in targets]
    for run in runs:
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors.decode()
    (log,) = (fresh.root / "caches").glob("*/fs/log")
    assert sorted(log.read_text().split()) == ["a", "b"]


def test_steps_that_lock_the_same_caches_in_another_order_do_not_wait_for_each_other(
    caller: Caller,
) -> None:
    mounts = [f"--mount=type=cache,sharing=locked,target=/{name}" for name in ("x", "y")]
    stages = [
        f"FROM busybox AS {name}\nRUN {' '.join(order)} echo {name}; sleep 0.1; touch /out\n"
        for name, order in (("a", mounts), ("b", mounts[::-1]))
    ]
    text = "".join(stages) + "FROM scratch\nCOPY --from=a /out /a\nCOPY --from=b /out /b\n"
    caller.fresh()("build", "--jobs", "2", caller.context(text), timeout=60).ok()


def test_what_is_written_to_a_bind_mount_is_gone_for_the_next_step(caller: Caller) -> None:
    text = (
        "FROM busybox\nRUN --mount=target=/m,rw echo new > /m/a && rm /m/dir/inner\n"
        "RUN --mount=target=/m cat /m/a /m/dir/inner > /seen\n"
    )
    context = caller.context(text, *TREE)
    fresh = caller.fresh()
    fresh.build(context).ok()
    assert fresh.run("test", "cat", "/seen").ok().output == "hello\ninner\n"
    assert (context / "a").read_text() == "hello\n"


def test_a_file_of_a_stage_of_several_layers_takes_writes_that_are_thrown_away(
    caller: Caller,
) -> None:
    text = (
        "FROM busybox AS first\nRUN echo old > /g\nFROM busybox\n"
        "RUN --mount=from=first,source=/g,target=/f,rw echo new >> /f && cat /f > /one\n"
        "RUN --mount=from=first,source=/g,target=/f cat /f > /two\n"
    )
    fresh = caller.fresh()
    fresh.build(caller.context(text)).ok()
    assert fresh.run("test", "cat", "/one", "/two").ok().output == "old\nnew\nold\n"


def test_a_bind_mount_is_part_of_the_key_as_far_as_it_is_shown(caller: Caller) -> None:
    text = "FROM busybox\nRUN --mount=source=dir,target=/m cat /m/inner\n"
    context = caller.context(text, *TREE)
    fresh = caller.fresh()
    fresh.build(context).ok()
    caller.write(context / "a", "other\n")
    assert "#2 CACHED" in fresh.build(context).ok().errors
    caller.write(context / "dir/inner", "other\n")
    assert "#2 CACHED" not in fresh.build(context).ok().errors


class TestSecrets:
    """No secret in a layer, a log, a key or a record: nowhere below the state root."""

    def test_a_secret_is_nowhere_below_the_state_root(self, caller: Caller) -> None:
        fresh, token = self._used(caller, "true")
        self._is_nowhere(fresh.root, token)

    def test_nor_when_the_step_fails(self, caller: Caller) -> None:
        fresh, token = self._used(caller, "exit 3", status=1)
        self._is_nowhere(fresh.root, token)

    def test_nor_when_another_value_is_to_run_the_step_again(self, caller: Caller) -> None:
        fresh, token = self._used(caller, "true", also=",rebuild=true")
        self._is_nowhere(fresh.root, token)

    def test_another_value_is_no_reason_to_run_a_step_again(self, caller: Caller) -> None:
        fresh = caller.fresh()
        context = caller.context("FROM busybox\nRUN --mount=type=secret,id=token true\n")
        for value in ("one", "two"):
            done = fresh(
                "build", "--secret", "id=token", context, environment={"token": value}
            ).ok()
        assert "#2 CACHED" in done.errors

    def test_unless_that_is_asked_for(self, caller: Caller) -> None:
        fresh = caller.fresh()
        context = caller.context("FROM busybox\nRUN --mount=type=secret,id=token true\n")
        option = ("--secret", "id=token,rebuild=true")
        for value, cached in (("one", False), ("two", False), ("two", True)):
            done = fresh("build", *option, context, environment={"token": value}).ok()
            assert ("#2 CACHED" in done.errors) == cached

    def _used(
        self, caller: Caller, command: str, *, status: int = 0, also: str = ""
    ) -> tuple[Pybuild, str]:
        mounts = " ".join(
            f"--mount=type=secret,id=token{more}"
            for more in ("", ",target=/etc/token", ",env=TOKEN,uid=1,mode=0644")
        )
        text = f'FROM busybox\nRUN {mounts} test -n "$TOKEN" && cat /etc/token | wc -c; {command}\n'
        fresh = caller.fresh()
        token = caller.place("secret") / "token"
        caller.write(token, SECRET)
        done = fresh.build(caller.context(text), "--secret", f"id=token,src={token}{also}")
        assert done.status == status, done.errors
        assert SECRET not in done.errors
        for command_line in (["records"], ["explain"], ["history", "test"][: 2 * (not status)]):
            if command_line:
                said = fresh(*command_line)
                assert SECRET not in said.output + said.errors
        return fresh, SECRET

    def _is_nowhere(self, root: Path, secret: str) -> None:
        database = sqlite3.connect(root / "state.db")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        for path in _files(root):
            assert secret.encode() not in path.read_bytes(), path
            assert secret not in str(path)


def _files(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


@needs_tool("ssh-agent")
def test_a_step_reaches_an_agent_with_a_key(caller: Caller) -> None:
    """The step lists the keys by a program of the machine; its socket is as it was asked for."""
    fresh = caller.fresh()
    fresh("base", "host", "-t", "tools", "sh", "stat", "ssh-add").ok()
    text = (
        "FROM tools\n"
        "RUN --mount=type=ssh,uid=4,gid=5,mode=0640 stat -c '%a %u:%g %F' $SSH_AUTH_SOCK"
        " && ssh-add -L\n"
        "RUN --mount=type=ssh,id=default,target=/agent echo at $SSH_AUTH_SOCK && ssh-add -D\n"
    )
    key = caller.place("key") / "id"
    caller.perform(lambda: _make_key(key))
    done = fresh.build(caller.context(text), "--ssh", f"default={key}")
    assert "640 4:5 socket\n" in done.errors
    assert key.with_suffix(".pub").read_text().split()[1] in done.errors
    assert "at /agent\n" in done.errors
    # To remove keys is none of a step's business.
    assert "exit code: 1" in done.errors


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
