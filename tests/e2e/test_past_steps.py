"""What is known of builds that were: records, explanations, and shells in their steps."""

import json
from collections.abc import Iterator

import pytest

from tests.callers import Caller
from tests.program import Pybuild

DOCKERFILE = """\
FROM busybox AS first
ARG VERSION=1.2
COPY src /src
WORKDIR /work
ENV GREETING="hi there"
RUN --mount=type=bind,source=src,target=/mnt --mount=type=cache,target=/cache \
    echo "version $VERSION" | tee version; cp /mnt/a.txt /cache/a
# pybuild: retry=1
RUN --mount=type=secret,id=token,required=true \
    echo left > left; cat /run/secrets/token; exit 3
RUN echo never
"""
SECRET = "s3cr3t"


class Scene:
    """A store with a build that failed, as one user made it."""

    def __init__(self, caller: Caller) -> None:
        self.pybuild = caller.fresh({"TOKEN": SECRET})
        self.context = caller.context(DOCKERFILE, "file src/a.txt 0644 text=content")
        self.failed = self.pybuild("--secret", "id=token,env=TOKEN", self.context)

    def shell(self, *arguments: str, stdin: str | None = None) -> tuple[int, str]:
        done = self.pybuild("shell", *arguments, stdin=stdin)
        return done.status, done.output


@pytest.fixture(scope="module", params=["as_root", "as_rootless"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    yield Scene(request.getfixturevalue(request.param))


def test_a_failure_is_told_and_tried_again(scene: Scene) -> None:
    assert scene.failed.status == 1
    # Masked: once a try, and again in the tail of the log.
    assert scene.failed.errors.count("***") == 4
    assert SECRET not in scene.failed.errors
    assert "trying again (1 of 1)" in scene.failed.errors


@pytest.mark.parametrize(
    ("arguments", "status", "output"),
    [
        (("--failed", "cat", "version"), 0, "version 1.2\n"),
        (("--failed", "--", "cat", "left"), 1, ""),
        (("--failed", "--after", "--", "cat", "left"), 0, "left\n"),
        (("5", "pwd"), 0, "/work\n"),
        (("4", "--", "cat", "version", "/mnt/a.txt", "/cache/a"), 0, "version 1.2\ncontentcontent"),
        (("--before", "4", "ls"), 0, ""),
        (("line:6", "sh", "-c", "echo $GREETING $VERSION"), 0, "hi there 1.2\n"),
        (("COPY", "ls", "/src"), 0, "a.txt\n"),
        (("--before", "COPY", "ls", "/src"), 1, ""),
        (("WORKDIR", "pwd"), 0, "/work\n"),
        (("1", "test", "-d", "/work"), 1, ""),
        (("4", "no-such-program"), 127, ""),
    ],
)
def test_a_command_runs_in_a_step(
    scene: Scene, arguments: tuple[str, ...], status: int, output: str
) -> None:
    assert scene.shell(*arguments) == (status, output)


def test_a_shell_reads_what_it_is_told(scene: Scene) -> None:
    assert scene.shell("4", stdin="echo $VERSION; touch new; ls; exit 7\n") == (
        *(7, "1.2\nnew\nversion\n"),
    )
    assert scene.shell("4", "ls") == (0, "version\n")


def test_a_secret_is_given_anew_or_not_there(scene: Scene) -> None:
    given = ("--secret", "id=token,env=TOKEN")
    assert scene.shell(*given, "--failed", "cat", "/run/secrets/token") == (0, SECRET)
    done = scene.pybuild("shell", "--failed", "--after", "cat", "left").ok()
    assert "without what --secret id=token gives" in done.errors
    assert "exit code: 3" in done.errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("6", "true"), "step #6 of build"),
        (("9", "true"), "no step of build"),
        (("RUN", "true"), "'RUN' means several steps"),
        ((), "which step?"),
        (("--build", "ffffffff", "1"), "no build has the ID ffffffff"),
    ],
)
def test_a_step_that_cannot_be_entered_is_told(
    scene: Scene, arguments: tuple[str, ...], message: str
) -> None:
    done = scene.pybuild("shell", *arguments)
    assert done.status == 2
    assert message in done.errors


def test_builds_are_listed_and_shown(scene: Scene) -> None:
    (listed,) = json.loads(scene.pybuild("records", "ls", "--format", "json").ok().output)
    assert (listed["outcome"], listed["steps"], listed["cached"]) == ("failed", 6, 1)
    assert str(scene.context) in scene.pybuild("records", "ls").ok().output
    shown = scene.pybuild("records", "show", listed["id"][:15]).ok().output
    assert "not built before" in shown
    assert "unreached" in shown
    steps = json.loads(scene.pybuild("records", "show", "--format", "json").ok().output)["steps"]
    assert [step["outcome"] for step in steps] == [
        *("cached", "run", "run", "run", "failed", "unreached")
    ]
    assert steps[3]["usage"]["memory"] > 0


def test_logs_are_printed(scene: Scene) -> None:
    assert scene.pybuild("records", "logs", "4").ok().output == "version 1.2\n"
    assert scene.pybuild("records", "logs").ok().output.count("#") == 2


def explained(pybuild: Pybuild, *arguments: str) -> dict[str, list[str]]:
    """Return the places of the differences, by step."""
    text = pybuild("explain", "--format", "json", *arguments).ok().output
    return {
        step["name"].partition("] ")[2][:8]: [one["place"] for one in step["differences"]]
        for step in json.loads(text)["steps"]
    }


def test_two_builds_are_compared(as_root: Caller) -> None:
    pybuild = as_root.fresh()
    context = as_root.context(
        "FROM busybox\nARG V=1\nCOPY src /src\nRUN echo $V > /v\nRUN true\n",
        "file src/a.txt 0644 text=a",
        "file src/b.txt 0644 text=b",
    )
    pybuild.build(context).ok()
    assert "the first of its kind" in pybuild("explain").ok().output
    pybuild.build(context).ok()
    assert "4 steps are as before" in pybuild("explain").ok().output
    (context / "src/a.txt").write_text("changed", encoding="utf-8")
    pybuild.build(context, "--build-arg", "V=2").ok()

    parts = explained(pybuild)
    assert parts["COPY src"] == ["inputs[1]", "inputs[1]: src/a.txt"]
    assert parts["RUN echo"] == ["inputs[0]", "op.env.V"]
    assert explained(pybuild, "line:4") == {"RUN echo": ["inputs[0]", "op.env.V"]}
    text = pybuild("explain", "COPY").ok().output
    assert "  why: src/a.txt changed\n" in text
    assert "    - file 0644 0:0 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e" in text
    assert "b.txt" not in text


def test_a_plan_runs_nothing_and_says_by_its_status_whether_a_build_would(as_root: Caller) -> None:
    pybuild = as_root.fresh()
    context = as_root.context(
        "FROM busybox\nCOPY a.txt /\nRUN echo x > /x\n", "file a.txt 0644 text=a"
    )
    plan = pybuild("plan", context)
    assert plan.status == 10
    assert "MISS   #2 [2/3] COPY a.txt /\n       why: not built before\n" in plan.output
    assert not json.loads(pybuild("records", "ls", "--format", "json").ok().output)
    pybuild.build(context).ok()

    assert pybuild("plan", context).ok().output.endswith("all 3 steps are in the cache\n")
    (context / "a.txt").write_text("b", encoding="utf-8")
    plan = pybuild("plan", "--format", "json", context)
    steps = json.loads(plan.output)["steps"]
    assert plan.status == 10
    assert [(step["verdict"], step["why"]) for step in steps] == [
        *(("hit", []), ("miss", ["a.txt changed"]), ("maybe", ["behind #2"]))
    ]
    assert pybuild("plan", "--no-cache-step", "7", context).status == 2


def test_a_plan_knows_the_caches_of_others(as_root: Caller) -> None:
    one, other = as_root.fresh(), as_root.fresh()
    context = as_root.context("FROM busybox\nRUN echo x > /x\n")
    shared = as_root.place("shared") / "cache"
    one.build(context, "--cache-to", f"type=local,dest={shared},mode=max").ok()
    assert other("plan", context).status == 10
    plan = other("plan", "--cache-from", f"type=local,src={shared}", context).ok()
    assert "HIT    #2 [2/2] RUN echo x > /x\n" in plan.output
    plan = other("plan", "--cache-from", f"type=local,src={shared}-none", context)
    assert plan.status == 10
    assert "WARNING: " in plan.errors


def test_a_lock_file_holds_the_base_when_its_name_moves(as_root: Caller) -> None:
    pybuild = as_root.fresh()
    pybuild("tag", "busybox", "based").ok()
    context = as_root.context("FROM based\nRUN echo x > /x\n")
    assert "there is no" in pybuild("build", "--locked", context).errors
    assert "docker.io/library/based:latest linux/" in pybuild("lock", context).ok().output
    pybuild.build(context, "--locked").ok()
    other = as_root.context("FROM busybox\nRUN echo y > /y\n")
    pybuild.build(other, name="based").ok()

    assert "why: base based:latest moved from sha256:" in pybuild("plan", context).output
    assert pybuild("plan", "--locked", context).status == 0
    assert "(was sha256:" in pybuild("lock", context).ok().output
    assert pybuild("plan", "--locked", context).status == 10


def test_a_store_that_is_too_large_is_collected_after_a_build(as_root: Caller) -> None:
    pybuild = as_root.fresh()
    context = as_root.context("FROM busybox\nCOPY a.txt /\n", "file a.txt 0644 text=a")
    pybuild.build(context).ok()
    layers = len(list((pybuild.root / "layers").iterdir()))
    for number in range(3):
        (context / "a.txt").write_text(f"{number}", encoding="utf-8")
        done = pybuild.build(context).ok()
        assert "collected" not in done.errors
    assert len(list((pybuild.root / "layers").iterdir())) == layers + 3

    (context / "a.txt").write_text("last", encoding="utf-8")
    pybuild("prune", "--force", "--filter", "type=image").ok()
    small = {"PYBUILD_GC": "max-used=1k,min-free=0,reserved=0"}
    done = pybuild("build", "-t", "test", context, environment=small).ok()
    assert "of the store (PYBUILD_GC steers this)" in done.errors
    # What it stands on, its own, and what lost its name to it just now.
    assert len(list((pybuild.root / "layers").iterdir())) == layers + 1
    assert pybuild("plan", context).status == 0
    wrong = pybuild("build", context, "--no-cache", environment={"PYBUILD_GC": "what"}).ok()
    assert "the store was not collected: PYBUILD_GC: there is no 'what'" in wrong.errors


def verified(pybuild: Pybuild, *options: str) -> tuple[int, dict[str, list[str]]]:
    """Return the status, and by instruction the verdict and the reasons."""
    done = pybuild("verify", "--sample", "100", "--format", "json", *options)
    found = {
        one["step"].partition("] ")[2]: [one["verdict"], *one["reasons"]]
        for one in json.loads(done.output)
    }
    return done.status, found


def test_steps_are_run_again_and_compared_with_the_cache(caller: Caller) -> None:
    pybuild = caller.fresh({"TOKEN": SECRET})
    context = caller.context(
        "FROM busybox\nCOPY a.txt /\nRUN echo stable > /x; sleep 0.01; touch /x\nWORKDIR /work\n"
        "RUN cat /proc/sys/kernel/random/uuid > /u; echo same > /s\n"
        "RUN --mount=type=secret,id=token,required=true cat /run/secrets/token | wc -c > /n\n",
        "file a.txt 0644 text=a",
    )
    pybuild.build(context, "--secret", "id=token,env=TOKEN").ok()
    layers = pybuild("records", "show", "--format", "json").ok().output

    status, found = verified(pybuild, "--secret", "id=token,env=TOKEN")
    assert status == 1
    assert {name.split()[0] + name[-2:]: verdict for name, verdict in found.items()} == {
        "COPY /": ["same"],
        "RUN/x": ["same"],
        "WORKDIRrk": ["same"],
        "RUN/s": ["differs", "/u"],
        "RUN/n": ["same"],
    }
    caller.write(context / "a.txt", "changed")
    found = verified(pybuild)[1]
    assert found["COPY a.txt /"] == ["skipped", "what it was made from has changed"]
    assert [one[0] for name, one in found.items() if name.endswith("/n")] == ["failed"]
    assert pybuild("records", "show", "--format", "json").ok().output == layers
    assert pybuild("verify", "--sample", "none").status == 2


def test_what_a_failed_step_has_left_is_kept_when_that_is_asked_for(caller: Caller) -> None:
    pybuild = caller.fresh({"TOKEN": SECRET})
    context = caller.context(
        "FROM busybox\nRUN mkdir /reports; echo old > /reports/old; ln -s /reports /link\n"
        "RUN --mount=type=secret,id=token cp /run/secrets/token /dev/shm/x;"
        " echo new > /reports/new; rm /reports/old; exit 1\n"
    )
    dest = caller.place("kept")

    def build(*outputs: str) -> str:
        options = [word for output in outputs for word in ("-o", output)]
        done = pybuild.build(context, *options, "--secret", "id=token,env=TOKEN")
        assert done.status == 1
        return done.errors

    told = build(
        f"type=local,on=failure,path=/reports,dest={dest}/a",
        f"type=local,on=failure,path=/link/new,dest={dest}/b",
        f"type=local,on=failure,path=/none,dest={dest}/c",
        f"type=local,on=failure,path=/run,dest={dest}/d",
        f"type=local,dest={dest}/image",
    )
    assert f"kept /reports of the failed step in {dest}/a" in told
    assert "the failed step has left nothing at /none" in told
    found = {str(path.relative_to(dest)) for path in dest.rglob("*") if path.is_file()}
    assert found == {"a/new", "b/new"}
    assert (dest / "a/new").read_text() == "new\n"
    (dest / "plain").write_text("")
    told = build(f"type=local,on=failure,path=/reports,dest={dest}/plain")
    assert "/reports of the failed step was not kept" in told
    assert not list((pybuild.root / "tmp").iterdir())

    for wrong in ("on=failure", "path=/a", "on=sometimes,path=/a", "on=failure,path=a"):
        done = pybuild("build", "-o", f"type=local,{wrong},dest={dest}/e", context)
        assert done.status == 2


def test_nothing_is_kept_of_a_build_that_does_not_fail(as_root: Caller) -> None:
    pybuild = as_root.fresh()
    context = as_root.context("FROM busybox\nRUN mkdir /reports\n")
    dest = as_root.place("kept") / "a"
    pybuild.build(context, "-o", f"type=local,on=failure,path=/reports,dest={dest}").ok()
    assert not dest.exists()


def test_a_step_that_takes_too_long_leaves_its_reports_as_well(as_root: Caller) -> None:
    pybuild = as_root.fresh()
    context = as_root.context(
        "FROM busybox\n# pybuild: timeout=1s\nRUN echo started > /report; sleep 1000\n"
    )
    dest = as_root.place("kept") / "a"
    done = pybuild.build(context, "-o", f"type=local,on=failure,path=/report,dest={dest}")
    assert done.status == 1
    assert "timed out after 1s" in done.errors
    assert (dest / "report").read_text() == "started\n"
