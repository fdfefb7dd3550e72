"""Guarantees of docs/security.md that only the whole program can show, by their numbers."""

import json
import os
from pathlib import Path

from tests.callers import BASE, Caller
from tests.program import Pybuild

SECRET = "correct-horse-battery-staple"


def test_s12_what_the_ignore_file_hides_is_reached_in_no_way(caller: Caller) -> None:
    ways = (
        "COPY hidden /a",
        "COPY ./x/../hidden /a",
        "COPY /hidden /a",
        "COPY door /a",
        "RUN --mount=source=hidden,target=/a cat /a",
        "RUN --mount=target=/a cat /a/hidden",
        "RUN --mount=target=/a cat /a/door",
        "ADD hidden /a",
    )
    pybuild = caller.fresh()
    for way in ways:
        context = caller.context(
            f"FROM {BASE}\n{way}\n",
            f"file hidden text={SECRET}",
            "file .dockerignore text=hidden",
            "link door -> hidden",
            "dir x",
        )
        done = pybuild.build(context)
        assert done.status == 1, way
        assert SECRET not in done.output + done.errors
    assert _holders(caller, pybuild.root, SECRET) == []


def test_s13_a_working_directory_behind_a_link_is_made_inside(caller: Caller) -> None:
    outside = caller.place("outside")
    pybuild = caller.fresh()
    context = caller.context(
        f"FROM {BASE}\nRUN ln -s {outside} /out && ln -s ../../../../../../out /up\n"
        "WORKDIR /up/made\nRUN touch here\n"
    )
    pybuild.build(context).ok()
    assert os.listdir(outside) == []
    assert pybuild.run("test", "ls", f"{outside}/made").ok().output == "here\n"


def test_s26_a_secret_is_in_its_step_and_nowhere_else(caller: Caller) -> None:
    pybuild = caller.fresh()
    path = caller.place("secret") / "value"
    caller.write(path, SECRET)
    context = caller.context(
        f"FROM {BASE}\nARG PASSING\n"
        "RUN --mount=type=secret,id=one test $(cat /run/secrets/one) = $(cat /run/secrets/one)\n"
        'RUN --mount=type=secret,id=one,env=ONE,target=/etc/one test "$ONE" = "$(cat /etc/one)"\n'
        'RUN --mount=type=secret,id=one,env=ONE test -z "$ONE" || { : > /left; false; }\n'
    )
    options = ("--secret", f"id=one,src={path}")
    done = pybuild.build(context, *options)
    assert done.status == 1
    text = context.joinpath("Dockerfile").read_text(encoding="utf-8")
    caller.write(context / "Dockerfile", text.rsplit("RUN", 1)[0])
    again = pybuild.build(context, *options).ok()
    archive = caller.place("archive") / "image.tar"
    saved = pybuild("save", "-o", archive, "test").ok()
    told = pybuild("history", "--no-trunc", "test").ok().output + pybuild("inspect", "test").output
    told += pybuild("explain").output + pybuild("records", "show").output
    for part in (done, again, saved):
        told += part.output + part.errors
    assert SECRET not in told
    assert _holders(caller, pybuild.root, SECRET) == []
    assert SECRET.encode() not in archive.read_bytes()


def test_s26_a_secret_in_a_layer_a_config_or_an_output_is_kept_back(caller: Caller) -> None:
    pybuild = caller.fresh()
    path = caller.place("secret") / "value"
    caller.write(path, SECRET)
    mount = "RUN --mount=type=secret,id=one"
    ways = (
        (
            f"{mount} cat /run/secrets/one; cat /run/secrets/one > /kept",
            1,
            "layer of this step: /kept",
        ),
        ("COPY copied /", 1, "layer of this step: /copied"),
        ("ARG X\nENV TOKEN=$X", 1, "variable TOKEN"),
        (f"LABEL token={SECRET}", 1, "label token"),
        (f"RUN echo {SECRET}", 1, "RUN, line 2"),
        (f"# {SECRET}\nRUN false", 1, "    # ***\n"),
        (f"{mount} cat /run/secrets/one", 0, "***"),
    )
    for way, status, told in ways:
        context = caller.context(f"FROM {BASE}\n{way}\n", f"file copied text={SECRET}")
        done = pybuild.build(
            context, "--secret", f"id=one,src={path}", "--build-arg", f"X={SECRET}"
        )
        assert done.status == status, way
        assert told in done.errors, way
        assert SECRET not in done.output + done.errors, way
    assert _holders(caller, pybuild.root, SECRET) == []
    # The last context: what is in it may be built when that is wanted.
    caller.write(context / "Dockerfile", f"FROM {BASE}\nCOPY copied /\n")
    pybuild.build(context, "--secret", f"id=one,src={path}", "--no-secret-search").ok()


def test_s31_modules_beside_the_caller_or_in_the_context_are_not_imported(caller: Caller) -> None:
    trap = "raise SystemExit('imported from outside')\n"
    names = ("json", "sqlite3", "marshal", "socket", "buildkit", "grammar", "runtime", "lark")
    context = caller.context(f"FROM {BASE}\nCOPY . /c/\nRUN true\n")
    for name in names:
        caller.write(context / f"{name}.py", trap)
    pybuild = caller.fresh()
    for environment in ({}, {"PYTHONPATH": ":"}, {"PYTHONPATH": str(context)}):
        pybuild("build", "-q", ".", cwd=context, environment=environment).ok()
        done = pybuild("run", "--rm", BASE, "echo", "fine", cwd=context, environment=environment)
        assert done.ok().output == "fine\n"


def test_r11_the_result_does_not_depend_on_the_callers_environment(caller: Caller) -> None:
    context = caller.context(
        f"FROM {BASE}\nCOPY . /c/\nRUN umask > /umask; env | sort > /env; id > /id\n",
        "file ünï text=2",
    )
    caller.write(context / "\udcffname", "no UTF-8")
    settings: tuple[tuple[dict[str, str], int], ...] = (
        ({}, 0o022),
        ({"LANG": "C", "LC_ALL": "C"}, 0o077),
        ({"LC_ALL": "tr_TR.UTF-8", "TERM": "dumb", "TMPDIR": "/nowhere", "HOME": "/nowhere"}, 0),
        ({"PYTHONUTF8": "0", "PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "7"}, 0o022),
    )
    trees = []
    for environment, umask in settings:
        pybuild = caller.fresh()
        options = ("-q", "-t", "test", "--build-arg", "SOURCE_DATE_EPOCH=0")
        pybuild("build", *options, context, environment=environment, umask=umask).ok()
        trees.append(pybuild.inspect("test")["RootFS"])
    assert all(tree == trees[0] for tree in trees), json.dumps(trees, indent=1)


def test_r12_builds_that_fail_do_not_make_the_store_grow(caller: Caller) -> None:
    pybuild = caller.fresh()
    context = caller.context(f"FROM {BASE}\nRUN dd if=/dev/zero of=/big bs=1M count=8; false\n")
    pybuild.build(context)
    before = _held(pybuild)
    for _ in range(3):
        assert pybuild.build(context).status == 1
    assert _held(pybuild) == before


def _held(pybuild: Pybuild) -> dict[str, set[str]]:
    """Return what is in the parts of a store that hold what is big."""
    parts = ("blobs/sha256", "layers", "caches", "tmp", "leases")
    return {part: set(os.listdir(pybuild.root / part)) for part in parts}


def _holders(caller: Caller, root: Path, text: str) -> list[str]:
    """Return the files below a store that hold `text`."""
    found: list[str] = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                found.append(str(path))
    return found
