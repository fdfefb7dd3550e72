"""Building twice: what gives the same image anywhere, and what is said of what does not."""

import json
import os
import shutil
from pathlib import Path

from tests.callers import Caller

EPOCH = "--source-date-epoch=1700000000"
SOUND = """FROM busybox
COPY --chown=5:6 a b /files/
WORKDIR /work
RUN mkdir -p a/b && echo made > a/b/c && ln -s c a/b/d && touch e && gzip -nk a/b/c && rm e
ENV A=b
"""
EVERYBODY = SOUND.replace("--chown=5:6 ", "")
UNSOUND = """FROM busybox AS build
RUN date +%s > /stamp; cat /proc/sys/kernel/random/uuid > /id; sleep 1
FROM busybox
COPY --from=build /stamp /
RUN nproc > /cpus
"""


def sound(caller: Caller) -> Path:
    return caller.context(SOUND, "file a 0755 text=a", "file b/c 0644 text=c")


def test_a_build_that_is_sound_is_found_to_be(as_rootless: Caller) -> None:
    pybuild = as_rootless.fresh()
    done = pybuild("repro", EPOCH, sound(as_rootless)).ok()
    assert done.output.startswith("REPRODUCIBLE: both builds gave sha256:")
    assert done.errors.count("build 2 of 2, under other conditions") == 1
    assert list((pybuild.root / "tmp").iterdir()) == []
    pybuild("fsck").ok()


def test_what_differs_is_named_with_its_line_and_cause(as_root: Caller) -> None:
    pybuild = as_root.fresh()
    done = pybuild("repro", "-q", EPOCH, "--format", "json", as_root.context(UNSOUND))
    assert done.status == 1
    found = json.loads(done.output)
    assert found["reproducible"] is False
    assert (found["first"]["step"], found["first"]["path"]) == (2, "id")
    assert found["images"][0] != found["images"][1]
    told = {
        (step["number"], tuple(step["lines"]), one["path"]): one["cause"]
        for step in found["steps"]
        for one in step["differences"]
    }
    seconds = "a time of the build, in seconds"
    expected = {(2, (2, 2), "id"): "random: a UUID", (2, (2, 2), "stamp"): seconds}
    expected[3, (4, 4), "stamp"] = seconds
    assert {key: told[key] for key in expected} == expected
    assert [step["follows"] for step in found["steps"]][:2] == [[], [2]]
    assert found["config"] == []


def test_without_an_epoch_the_times_are_what_differs(as_root: Caller) -> None:
    done = as_root.pybuild(
        "repro", "-q", "--vary", "none", as_root.context("FROM busybox\nRUN touch /a\n")
    )
    assert done.status == 1
    assert "/a: time: " in done.output
    assert "cause: no SOURCE_DATE_EPOCH: times are those of the build" in done.output
    assert "config: created: " in done.output
    last = done.output.splitlines()[-1]
    assert last.startswith("first to differ: /a (time) in #2 (line 2): no SOURCE_DATE_EPOCH")


def test_a_build_that_fails_says_so_once(as_root: Caller) -> None:
    done = as_root.pybuild("repro", as_root.context("FROM busybox\nRUN false\n"))
    assert done.status == 1
    assert done.errors.count("ERROR: failed to build") == 1
    assert done.output == ""
    refused = as_root.pybuild("repro", "-o", "x", as_root.top)
    assert refused.status == 2
    assert as_root.pybuild("repro", "--vary", "moon", as_root.top).status == 2


def on_one_processor() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


def aged(path: Path, time: int) -> None:
    """Set the times of all that is in `path`."""
    for found in (path, *path.rglob("*")):
        os.utime(found, (time, time), follow_symlinks=False)


def test_one_digest_on_any_store_at_any_time_for_anybody(
    as_root: Caller, as_rootless: Caller, as_single: Caller
) -> None:
    digests = set()
    for number, caller in enumerate((as_root, as_rootless, as_single)):
        context = caller.context(EVERYBODY, "file a 0755 text=a", "file b/c 0644 text=c")
        two_days_later = 1_700_000_000 + 172_800 * (number + 1)
        aged(context, two_days_later)
        place, pybuild = caller.place(), caller.empty()
        base = place / "base.tar"
        shutil.copy(as_root.base, base)
        os.chmod(base, 0o644)
        pybuild("load", "-q", "-i", base).ok()
        words = ("build", "-q", EPOCH, "-o", f"type=oci,tar=false,dest={place}/out", context)
        pybuild(*words, preexec_fn=on_one_processor if number else None).ok()
        (manifest,) = json.loads((place / "out/index.json").read_text())["manifests"]
        digests.add(manifest["digest"])
    assert len(digests) == 1
