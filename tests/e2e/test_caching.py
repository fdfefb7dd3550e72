"""What a change does to a build that follows: the table of docs/caching.md, line by line.

The lines say what runs again and why; here is what makes the changes.
"""

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from unittest.mock import ANY

import pytest

from tests.callers import BASE, Caller
from tests.e2e.docker_registry import DockerRegistry, docker_registry
from tests.e2e.tools import needs_tool
from tests.images import read_layout
from tests.program import TOP, Pybuild

FIXTURE = TOP / "fixtures/caching"
DOCUMENT = TOP / "docs/caching.md"


class Row(NamedTuple):
    """A line of the table: steps that run again, as their instructions begin, with the reasons.

    `behind`: all behind the last of them, too.
    """

    changed: str
    again: tuple[str, ...]
    behind: bool
    why: tuple[str, ...]


class Case:
    """What a change can act on: the context, and the options of the builds before and after."""

    def __init__(self, pybuild: Pybuild, place: Path) -> None:
        self.pybuild = pybuild
        self.context = place / "context"
        self.secret = place / "token"
        self.options = ["--secret", f"id=token,src={self.secret}"]
        self.umask = -1

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.context / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        (self.context / name).write_text(text, encoding="utf-8")

    def build(self) -> str:
        """Build; return the plain progress."""
        arguments = (*self.options, str(self.context))
        return (
            self.pybuild("build", "--progress", "plain", *arguments, umask=self.umask).ok().errors
        )


Change = Callable[[Case], None]


def content(case: Case) -> None:
    case.edit("src/a.py", "hello", "bye")


def touched(case: Case) -> None:
    os.utime(case.context / "src/a.py", (1_000_000_000, 1_000_000_000))


def there_and_back(case: Case) -> None:
    case.edit("src/a.py", "hello", "there")
    case.build()
    case.edit("src/a.py", "there", "hello")


def modes(case: Case) -> None:
    (case.context / "src/run.sh").chmod(0o755)


def owner(case: Case) -> None:
    os.chown(case.context / "src/a.py", 1234, 1234)


def chown(case: Case) -> None:
    case.edit("Dockerfile", "COPY src", "COPY --chown=7:8 src")


def ignored(case: Case) -> None:
    case.write("src/build.log", "noise\n")


def added(case: Case) -> None:
    case.write("src/b.py", "")


def beside(case: Case) -> None:
    case.write("README", "text\n")


def reordered(case: Case) -> None:
    case.edit(
        "Dockerfile", "ARG VERSION=1.2\nARG FLAVOUR=plain", "ARG FLAVOUR=plain\nARG VERSION=1.2"
    )


def argument(text: str) -> Change:
    return lambda case: case.options.extend(["--build-arg", text])


def secret(case: Case) -> None:
    case.secret.write_text("another", encoding="utf-8")


def comment(case: Case) -> None:
    case.edit("Dockerfile", "COPY src", "# a remark\nCOPY src")


def config(case: Case) -> None:
    case.edit("Dockerfile", "ARG LATE", 'LABEL a=b\nEXPOSE 80\nCMD ["true"]\nARG LATE')


def unneeded(case: Case) -> None:
    case.edit("Dockerfile", "FROM based\n", "FROM based AS unused\nRUN echo x\n\nFROM based\n")


def command(case: Case) -> None:
    case.edit("Dockerfile", "LATE' >", "LATE' | cat >")


def base(case: Case) -> None:
    place = case.context.parent / "base"
    place.mkdir()
    (place / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo new > /new\n", encoding="utf-8")
    case.pybuild("build", "-q", "-t", "based", place).ok()


def umask(case: Case) -> None:
    case.umask = 0o077


def checked_out(case: Case) -> None:
    for path in (case.context / "src").iterdir():
        path.chmod(0o600)
    (case.context / "src").chmod(0o700)


def moved(case: Case) -> None:
    other = case.context.with_name("elsewhere")
    shutil.copytree(case.context, other, copy_function=shutil.copyfile)
    touched(case)
    case.context = other


def nothing(_case: Case) -> None:
    pass


CHANGES: Mapping[str, Change] = {
    "nothing": nothing,
    "the content of `src/a.py`": content,
    "only its time (`touch`)": touched,
    "its content, and back again": there_and_back,
    "the mode of `src/run.sh`": modes,
    "the owner of `src/a.py` in the context": owner,
    "`--chown=7:8` on `COPY src`": chown,
    "a new file that `.dockerignore` hides": ignored,
    "a new file `src/b.py`": added,
    "a new file beside `src`": beside,
    "the order of two `ARG`s": reordered,
    "the value of `VERSION`": argument("VERSION=1.3"),
    "the value of `LATE`, declared behind": argument("LATE=2"),
    "a build argument that nobody declares": argument("NOBODY=1"),
    "the value of the secret": secret,
    "the same with `--secret id=token,rebuild=true`": secret,
    "a comment in the Dockerfile": comment,
    "a label, `CMD`, `EXPOSE`": config,
    "another stage": argument("SUFFIX=b"),
    "a stage that nobody needs": unneeded,
    "the command of a step": command,
    "the base image": base,
    "the umask under which pybuild runs": umask,
    "the umask under which the context was checked out": checked_out,
    "the same with `--context-mode=git`": checked_out,
    "the directory, the inodes and the times: another checkout": moved,
}

BEFORE: Mapping[str, Change] = {
    "the same with `--secret id=token,rebuild=true`": lambda case: case.options.__setitem__(
        1, f"{case.options[1]},rebuild=true"
    ),
    "the same with `--context-mode=git`": lambda case: case.options.append("--context-mode=git"),
}
"""What both builds of a line are made with."""


def rows() -> list[Row]:
    """Return the lines of the table in the document."""
    found = []
    text = DOCUMENT.read_text(encoding="utf-8").partition("| changed |")[2].partition("\n\n")[0]
    for line in text.splitlines()[2:]:
        changed, again, why = (cell.strip() for cell in line.strip("|").split(" | "))
        found.append(Row(changed, _quoted(again), "all behind it" in again, _quoted(why)))
    return found


def _quoted(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]*)`", cell))


def test_the_table_of_the_document_is_what_is_tested() -> None:
    assert [row.changed for row in rows()] == list(CHANGES)


def test_the_document_shows_the_dockerfile_that_is_built() -> None:
    dockerfile = (FIXTURE / "Dockerfile").read_text(encoding="utf-8")
    assert f"```dockerfile\n{dockerfile}```" in DOCUMENT.read_text(encoding="utf-8")


@pytest.fixture
def store(as_root: Caller) -> Iterator[Pybuild]:
    pybuild = as_root.fresh()
    pybuild("tag", BASE, "based").ok()
    yield pybuild
    shutil.rmtree(pybuild.root)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.changed)
def test_a_change_runs_what_the_document_says(row: Row, store: Pybuild, tmp_path: Path) -> None:
    case = Case(store, tmp_path)
    shutil.copytree(FIXTURE, case.context)
    for path in sorted(case.context.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask of this checkout was
    case.secret.write_text("first", encoding="utf-8")
    BEFORE.get(row.changed, nothing)(case)
    case.build()
    CHANGES[row.changed](case)
    found = again(case.build())
    assert len(row.again) == len(row.why) <= len(found)
    behind = found[len(row.again) :]
    if row.behind:
        assert {why for _, why in behind} == {"parent step changed"}
        assert behind[-1][0].startswith("RUN sh -c 'echo $LATE'")
    else:
        assert not behind
    for (instruction, why), begins, reason in zip(found, row.again, row.why, strict=False):
        assert re.match(_pattern(begins), instruction)
        assert re.fullmatch(_pattern(reason), why)


def again(progress: str) -> list[tuple[str, str]]:
    """Return the steps that ran, in order, with what was said after `why:`."""
    names: dict[str, str] = {}
    found: dict[str, str] = {}
    for line in progress.splitlines():
        match = re.fullmatch(r"#(\d+) (?:\[[^]]*\] (.*)|why: (.*)|DONE .*)", line)
        if match is None:
            continue
        number, name, why = match.groups()
        if name is not None:
            names[number] = name
        elif why is not None:
            found[number] = why
        else:
            found.setdefault(number, "")
    return [(names[number], found[number]) for number in sorted(found, key=int)]


def _pattern(text: str) -> str:
    """Return what matches `text`, in which an ellipsis is anything."""
    return re.escape(text).replace("…", ".*")


def test_a_step_that_gives_what_it_gave_leaves_the_digest_of_the_image(
    as_root: Caller, store: Pybuild
) -> None:
    context = as_root.context(
        "FROM based\n"
        "RUN --mount=type=bind,source=seed,target=/seed head -c 3 /seed > /made\n"
        "RUN cat /made > /copy\n",
        "file seed 0644 text=abc-1",
    )
    store.build(context).ok()
    before = store.inspect("test")["Id"]
    (context / "seed").write_text("abc-2", encoding="utf-8")
    progress = store.build(context).ok().errors
    assert [why for _, why in again(progress)] == ["seed changed"]
    assert "(same content as before)" in progress
    assert store.inspect("test")["Id"] == before


def test_what_was_built_without_an_epoch_does_not_show_in_a_build_with_one(
    as_root: Caller, store: Pybuild
) -> None:
    context = as_root.context(
        "FROM based\nCOPY seed /\nRUN echo x > /made; mkdir /when\nRUN rmdir /when\n", "file seed"
    )
    epoch = ("--source-date-epoch", "1000000000")
    store.build(context).ok()
    progress = store.build(context, *epoch).ok().errors
    assert "why: files may be younger than SOURCE_DATE_EPOCH" in progress
    assert len(again(progress)) == 3
    built = store.inspect("test")["Id"]
    assert again(store.build(context, *epoch).ok().errors) == []
    assert again(store.build(context).ok().errors) == []
    store("prune", "-a", "-f").ok()
    store.build(context, "--no-cache", *epoch).ok()
    assert store.inspect("test")["Id"] == built


def test_a_stage_that_yields_the_same_leaves_the_digest_of_the_image(
    as_root: Caller, store: Pybuild
) -> None:
    context = as_root.context(
        "FROM based AS made\nCOPY seed /\nRUN head -c 3 /seed > /generated\n"
        "FROM based\nCOPY --from=made /generated /\nRUN cat /generated > /copy\n",
        "file seed 0644 text=abc-1",
    )
    store.build(context).ok()
    before = store.inspect("test")["Id"]
    (context / "seed").write_text("abc-2", encoding="utf-8")
    progress = store.build(context).ok().errors
    assert [name.split()[0] for name, _ in again(progress)] == ["COPY", "RUN"]
    assert store.inspect("test")["Id"] == before


def test_a_large_copy_does_not_depend_on_the_layer_before_it(
    as_root: Caller, store: Pybuild, tmp_path: Path
) -> None:
    """Neither on names that were one file then, nor on files that the base did not have then."""
    many = [f"file src/{number} text=x{number}" for number in range(220)]
    context = as_root.context("FROM under\nCOPY src /src\n", *many, "file src/a text=same")
    one, two, late = context / "src/a", context / "src/b", context / "src/7"
    os.link(one, two)
    base = as_root.context("FROM busybox\nRUN mkdir /src\n")
    store.build(base, name="under").ok()
    store.build(context).ok()
    two.unlink()
    shutil.copy2(one, two)
    late.write_text("another", encoding="utf-8")
    # The new base has one of the files, in all respects.
    (base / "Dockerfile").write_text("FROM busybox\nCOPY --chmod=644 src /src\n")
    (base / "src").mkdir()
    shutil.copy2(context / "src/9", base / "src/9")
    for program in (store, other := as_root.fresh()):
        program.build(base, name="under").ok()
        program.build(context).ok()
    assert members(store, tmp_path / "ours") == members(other, tmp_path / "others")
    script = "test /src/a -ef /src/b && echo one"
    assert store.run("test", "sh", "-c", script).output == ""


def members(program: Pybuild, place: Path) -> list[tuple[str, bytes, str]]:
    """Return name, type and link of all in the last layer of `test`."""
    program("save", "--format", "oci-dir", "-o", place, "test").ok()
    with tarfile.open(fileobj=io.BytesIO(read_layout(place).layers[-1])) as layer:
        return [(member.name, member.type, member.linkname) for member in layer]


@needs_tool("docker-registry")
def test_what_a_registry_has_is_not_pushed_again(
    as_root: Caller, store: Pybuild, tmp_path: Path
) -> None:
    context = as_root.context(
        "FROM based\nRUN --mount=type=bind,source=seed,target=/seed head -c 3 /seed > /made\n",
        "file seed 0644 text=abc-1",
    )
    with docker_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/app:1"
        store.build(context, "--push", name=name).ok()
        assert uploads(registry)
        (context / "seed").write_text("abc-2", encoding="utf-8")
        assert again(store.build(context, "--push", name=name).ok().errors) == [
            (ANY, "seed changed")
        ]
        assert uploads(registry) == []


def uploads(registry: DockerRegistry) -> list[str]:
    """Return the paths below which blobs were sent since the last call."""
    return [path for method, path, _ in registry.asked() if "/blobs/uploads/" in path]


@needs_tool("git")
def test_modes_are_those_of_gits_index(as_root: Caller, store: Pybuild) -> None:
    context = as_root.context(
        "FROM based\nCOPY src /src\nCOPY src/on /one\nRUN stat -c '%n %a' /src/* /one > /modes\n",
        *("file src/off 0755 text=a", "file src/on 0600 text=b", "file src/other 0711 text=c"),
    )

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", context, *words], check=True)

    def modes() -> str:
        store.build(context, "--context-mode=git").ok()
        return store.run("test", "cat", "/modes").ok().output

    git("init", "-q")
    git("add", "src/on", "src/off")
    git("update-index", "--chmod=+x", "src/on")
    git("update-index", "--chmod=-x", "src/off")
    assert modes() == "/src/off 644\n/src/on 755\n/src/other 755\n/one 755\n"
    git("update-index", "--chmod=-x", "src/on")
    assert modes() == "/src/off 644\n/src/on 644\n/src/other 755\n/one 644\n"


def test_two_stores_have_the_same_keys(as_root: Caller, tmp_path: Path) -> None:
    found = []
    for number in range(2):
        pybuild = as_root.fresh({"SOURCE_DATE_EPOCH": "1000000000"})
        pybuild("tag", BASE, "based").ok()
        context = tmp_path / str(number)
        shutil.copytree(FIXTURE, context, copy_function=shutil.copyfile)
        pybuild.build(context, "--secret", "id=token,env=HOME").ok()
        shown = pybuild("records", "show", "--format", "json").ok().output
        found.append(re.findall(r'"key": "([0-9a-f]{64})"', shown))
        shutil.rmtree(pybuild.root)
    assert len(found[0]) == 6
    assert found[0] == found[1]


def layer_of(store: Pybuild, name: str) -> Path:
    """Return the files of the top layer of an image."""
    top = str(store.inspect(name)["RootFS"]["Layers"][-1])
    return store.root / "layers" / top.removeprefix("sha256:") / "fs"


def test_a_large_copy_makes_only_the_files_that_are_new(as_root: Caller, store: Pybuild) -> None:
    context = as_root.context(
        "FROM based\nCOPY . /src\n",
        *(f"file d{number % 7}/f{number} 0644 text=content-{number}" for number in range(300)),
        "fifo pipe",  # so that it is written at once, and not kept as a tar
    )
    store.build(context, name="one").ok()
    (context / "d1/f1").write_text("changed", encoding="utf-8")
    first = layer_of(store, "one")
    (first / "src/d3/f3").write_text("damaged!!", encoding="utf-8")  # as long as it was
    os.utime(first / "src/d3/f3", ns=(0, (context / "d3/f3").stat().st_mtime_ns))
    store.build(context, name="two").ok()
    second = layer_of(store, "two")
    names = [f"src/d{number % 7}/f{number}" for number in range(300)]
    shared = [number for number, name in enumerate(names) if (first / name).samefile(second / name)]
    assert shared == [number for number in range(300) if number not in (1, 3)]
    assert store.run("two", "cat", "/src/d1/f1", "/src/d3/f3").ok().output == "changedcontent-3"
    assert store.run("two", "ls", "-l", "/src/d2/f2").ok().output.startswith("-rw-r--r--")
