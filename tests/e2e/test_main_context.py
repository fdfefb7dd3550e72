"""Where context and Dockerfile come from (docs/dockerfile.md, chapter 1)."""

import io
import json
import signal
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers import Caller
from tests.e2e.tools import needs_tool
from tests.program import Done
from tests.trees import COMPRESSORS
from tests.web import Web, branch, commit, serving

DOCKERFILE = "FROM busybox\nCOPY a /a\nRUN cat /a\n"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serving(tmp_path) as web:
        yield web


def archive(**files: str) -> bytes:
    """Return a tar of files."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return whole.getvalue()


def built(caller: Caller, *words: str | Path, stdin: str | bytes | None = None) -> Done:
    return caller.pybuild("build", "--no-cache", "--progress", "plain", *words, stdin=stdin)


def shows(done: Done, text: str) -> None:
    assert f" {text}\n" in done.ok().errors


def refuses(done: Done, message: str, status: int = 2) -> None:
    assert (done.status, message in done.errors) == (status, True), done.errors


class TestDirectory:
    @pytest.mark.parametrize(
        ("names", "chosen"),
        [
            (["dockerfile", "Containerfile", "Dockerfile"], "Dockerfile"),
            (["dockerfile", "Containerfile"], "Containerfile"),
            (["dockerfile"], "dockerfile"),
        ],
    )
    def test_a_dockerfile_has_one_of_three_names(
        self, caller: Caller, names: list[str], chosen: str
    ) -> None:
        context = caller.place()
        for name in names:
            caller.write(context / name, f"FROM busybox\nRUN echo it is {name}\n")
        shows(built(caller, context), f"it is {chosen}")

    def test_one_that_may_not_be_entered_is_told(self, as_rootless: Caller) -> None:
        context = as_rootless.context("FROM scratch\n")
        as_rootless.perform(lambda: context.chmod(0o600))
        refuses(as_rootless.pybuild("check", context), "permission denied", 1)

    def test_another_is_named_and_may_lie_elsewhere(self, caller: Caller) -> None:
        context = caller.tree(caller.place(), "file a text=inside")
        other = caller.place("other") / "Dockerfile.dev"
        caller.write(other, DOCKERFILE)
        shows(built(caller, "-f", other, context), "inside")

    def test_its_name_is_seen_from_the_working_directory(self, caller: Caller) -> None:
        context = caller.tree(caller.place(), "file a text=inside")
        caller.write(context / "d", DOCKERFILE)
        words = ("-f", f"{context.name}/d", context.name)
        done = caller.pybuild("build", "--no-cache", *words, cwd=caller.top)
        shows(done, "inside")

    def test_without_a_context_it_is_the_working_directory(self, caller: Caller) -> None:
        context = caller.tree(caller.place(), "file a text=inside")
        caller.write(context / "Dockerfile", DOCKERFILE)
        for words in (["-f", "Dockerfile"], ["build"], ["-t", "named"]):
            done = caller.pybuild(*words, "--no-cache", "--progress=plain", cwd=context)
            shows(done, "inside")

    def test_it_comes_from_standard_input(self, caller: Caller) -> None:
        context = caller.tree(caller.place(), "file a text=inside")
        shows(built(caller, "-f", "-", context, stdin=DOCKERFILE), "inside")

    def test_it_comes_from_a_server(self, caller: Caller, web: Web) -> None:
        (web.root / "d").write_text(DOCKERFILE)
        context = caller.tree(caller.place(), "file a text=inside")
        shows(built(caller, "-f", f"{web.url}/d", context), "inside")

    def test_an_ignore_file_beside_a_dockerfile_goes_before_that_of_the_context(
        self, caller: Caller
    ) -> None:
        context = caller.tree(caller.place(), "file a text=a", "file b text=b")
        caller.write(context / ".dockerignore", "a\n")
        caller.write(context / "d", "FROM busybox\nCOPY . /c\nRUN echo have $(ls /c)\n")
        shows(built(caller, "-f", context / "d", context), "have b d")
        caller.write(context / "d.dockerignore", "b\nd*\n")
        shows(built(caller, "-f", context / "d", context), "have a")

    @pytest.mark.parametrize(
        ("words", "message", "status"),
        [
            (
                ["{empty}"],
                "failed to read dockerfile: open Dockerfile: no such file or directory",
                2,
            ),
            (["-f", "/none", "{empty}"], "failed to read dockerfile: open /none: no such file", 2),
            (["{empty}/none"], 'unable to prepare context: path "{empty}/none" not found', 1),
            (["/etc/passwd"], 'path "/etc/passwd" is not a directory', 1),
            (["-f", "-", "-"], "can't use stdin for both build context and dockerfile", 2),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_what_is_not_there_is_told(
        self, caller: Caller, words: list[str], message: str, status: int
    ) -> None:
        empty = str(caller.place("empty"))
        done = built(caller, *(word.format(empty=empty) for word in words))
        refuses(done, message.format(empty=empty), status)


class TestStandardInput:
    @pytest.mark.parametrize("suffix", ["", *COMPRESSORS])
    def test_a_tar_is_a_context_however_it_is_compressed(self, caller: Caller, suffix: str) -> None:
        pack = COMPRESSORS.get(suffix, bytes)
        shows(built(caller, "-", stdin=pack(archive(Dockerfile=DOCKERFILE, a="in tar"))), "in tar")

    def test_a_dockerfile_is_named_within_the_tar(self, caller: Caller) -> None:
        tar = archive(**{"sub/d": DOCKERFILE, "a": "in tar"})
        shows(built(caller, "-f", "sub/d", "-", stdin=tar), "in tar")
        refuses(built(caller, "-f", "x", "-", stdin=tar), "open x: no such file or directory")
        refuses(built(caller, "-f", "../../../etc/passwd", "-", stdin=tar), "no such file")

    def test_a_dockerfile_outside_goes_with_a_tar(self, caller: Caller) -> None:
        path = caller.place("other") / "Dockerfile"
        caller.write(path, DOCKERFILE)
        shows(built(caller, "-f", path, "-", stdin=archive(a="in tar")), "in tar")

    def test_an_ignore_file_in_a_tar_is_a_file(self, caller: Caller) -> None:
        text = "FROM busybox\nCOPY . /c\nRUN echo have $(ls -A /c)\n"
        tar = archive(**{"Dockerfile": text, ".dockerignore": "*"})
        shows(built(caller, "-", stdin=tar), "have .dockerignore Dockerfile")

    def test_what_is_no_tar_is_a_dockerfile_without_a_context(self, caller: Caller) -> None:
        shows(built(caller, "-", stdin="FROM busybox\nRUN echo alone\n"), "alone")
        missing = built(caller, "-", stdin=DOCKERFILE)
        refuses(missing, '"/a": not found', 1)
        assert "a Dockerfile on standard input comes without files" in missing.errors

    def test_a_dockerfile_and_a_name_for_one_are_too_many(self, caller: Caller) -> None:
        refuses(built(caller, "-f", "d", "-", stdin=DOCKERFILE), "ambiguous Dockerfile source")

    def test_nothing_is_an_empty_dockerfile(self, caller: Caller) -> None:
        refuses(built(caller, "-", stdin=""), "the Dockerfile cannot be empty")

    def test_a_tar_that_ends_too_early_is_told(self, caller: Caller) -> None:
        tar = archive(Dockerfile=DOCKERFILE, a="x" * 5000)
        refuses(built(caller, "-", stdin=tar[:3000]), "ERROR: ", 1)

    def test_a_build_that_waits_for_input_can_be_interrupted(self, caller: Caller) -> None:
        with caller.pybuild.start("build", "-", stdin=subprocess.PIPE) as waiting:
            assert waiting.stdin is not None
            # Read only once the build has its signals in hand.
            waiting.stdin.write(bytes(1 << 20))
            waiting.stdin.flush()
            waiting.send_signal(signal.SIGTERM)
            waiting.communicate(timeout=30)
        assert waiting.returncode == 143


@needs_tool("git")
class TestRepository:
    @pytest.fixture
    def repository(self, web: Web) -> str:
        """The path of a repository on the server; `other` goes beyond `main`."""
        path = web.root / "work"
        (path / "sub").mkdir(parents=True)
        for folder, text in ((path, "on top"), (path / "sub", "below")):
            (folder / "Dockerfile").write_text(DOCKERFILE)
            (folder / "a").write_text(text)
        commit(path)
        branch(path, "other")
        (path / "a").write_text("elsewhere")
        commit(path)
        branch(path, "main", "main")
        (web.root / "closed").mkdir()
        (web.root / "closed/app.git").symlink_to(path / ".git")
        (web.root / "app.git").symlink_to(path / ".git")
        return "app.git"

    @pytest.mark.parametrize(
        ("fragment", "text"),
        [("", "on top"), ("#other", "elsewhere"), ("#:sub", "below"), ("#other:sub", "below")],
    )
    def test_a_repository_is_a_context(
        self, caller: Caller, web: Web, repository: str, fragment: str, text: str
    ) -> None:
        shows(built(caller, f"{web.url}/{repository}{fragment}"), text)

    def test_its_history_is_no_part_of_the_context_unless_asked_for(
        self, caller: Caller, web: Web, repository: str
    ) -> None:
        text = "FROM busybox\nCOPY . /c\nRUN ls -d /c/.git || echo none\n"
        words = ("-f", "-", f"{web.url}/{repository}")
        shows(built(caller, *words, stdin=text), "none")
        keep = "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"
        shows(built(caller, keep, *words, stdin=text), "/c/.git")

    def test_its_commit_stands_in_the_provenance_and_no_password(
        self, as_root: Caller, web: Web, repository: str
    ) -> None:
        url = f"{web.url}/{repository}".replace("//", "//joe:sesame@")
        built(as_root, "--provenance=mode=max", "-t", "test", url).ok()
        shown = as_root.pybuild("attest", "show", "--predicate", "test").ok().output
        definition = json.loads(shown)["buildDefinition"]
        head = (web.root / repository / "refs/heads/main").read_text().strip()
        source = definition["externalParameters"]["configSource"]
        assert source["digest"] == {"gitCommit": head}
        assert source["uri"] == url.replace("joe:sesame@", "***@")
        assert "sesame" not in shown
        assert source["uri"] in [one["uri"] for one in definition["resolvedDependencies"]]

    def test_a_branch_that_is_not_there_is_told(
        self, caller: Caller, web: Web, repository: str
    ) -> None:
        done = built(caller, f"{web.url}/{repository}#none")
        refuses(done, "does not contain ref none", 1)

    @pytest.mark.parametrize("name", ["GIT_AUTH_TOKEN", "GIT_AUTH_TOKEN.127.0.0.1"])
    def test_a_secret_opens_a_repository(
        self, caller: Caller, web: Web, repository: str, name: str
    ) -> None:
        url = f"{web.url}/closed/{repository}"
        web.accepted.add(f"basic {b64encode(b'x-access-token:sesame').decode()}")
        refuses(built(caller, url), "git ls-remote failed", 1)
        token = caller.place("secret") / "token"
        caller.write(token, "sesame\n")
        done = built(caller, "--secret", f"id={name},src={token}", url)
        shows(done, "on top")
        assert "sesame" not in done.errors


class TestDownload:
    def test_an_archive_is_a_context(self, caller: Caller, web: Web) -> None:
        pack = COMPRESSORS[".gz"]
        (web.root / "c.tgz").write_bytes(pack(archive(Dockerfile=DOCKERFILE, a="in tar")))
        shows(built(caller, f"{web.url}/c.tgz"), "in tar")
        refuses(built(caller, "-f", "no", f"{web.url}/c.tgz"), "open no: no such file or directory")

    def test_what_is_no_archive_is_a_dockerfile(self, caller: Caller, web: Web) -> None:
        (web.root / "d").write_text("FROM busybox\nRUN echo alone\n")
        shows(built(caller, f"{web.url}/d"), "alone")

    def test_what_is_not_there_is_told(self, caller: Caller, web: Web) -> None:
        refuses(built(caller, f"{web.url}/none"), "invalid response status 404", 1)
        refuses(built(caller, "-f", f"{web.url}/none", caller.place()), "status 404", 1)

    def test_a_secret_opens_a_door(self, caller: Caller, web: Web) -> None:
        (web.root / "closed").mkdir()
        (web.root / "closed/d").write_text("FROM busybox\nRUN echo alone\n")
        web.accepted.add("Bearer open")
        secret = ("--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1")
        url = f"{web.url}/closed/d"
        refuses(built(caller, url), "invalid response status 403", 1)
        done = caller.pybuild(
            "build", *secret, url, environment={"HTTP_AUTH_TOKEN_127.0.0.1": "open"}
        )
        shows(done, "alone")


class TestNamedContexts:
    def test_a_download_that_is_an_archive_is_what_is_in_it(self, caller: Caller, web: Web) -> None:
        (web.root / "tar").write_bytes(archive(a="in tar"))
        (web.root / "file").write_text("plain")
        text = "FROM busybox\nCOPY --from=tar a /a\nCOPY --from=file file /f\nRUN cat /a /f\n"
        words = [f"--build-context={name}={web.url}/{name}" for name in ("tar", "file")]
        shows(built(caller, "-f", "-", *words, caller.place(), stdin=text), "in tarplain")

    def test_a_layout_is_a_base_and_a_source(self, caller: Caller) -> None:
        layout = caller.place("layout") / "l"
        caller.pybuild("save", "--format", "oci-dir", "-o", layout, "busybox").ok()
        text = "FROM base\nCOPY --from=files /bin/busybox /busybox\nRUN /busybox echo of a layout\n"
        words = [f"--build-context={name}=oci-layout://{layout}" for name in ("base", "files")]
        fresh = caller.empty()
        done = fresh("build", "-f", "-", *words, caller.place(), stdin=text)
        shows(done, "of a layout")

    def test_a_layout_that_is_none_is_told_with_its_line(self, caller: Caller) -> None:
        text = "FROM base\n"
        word = f"--build-context=base=oci-layout://{caller.place()}"
        done = built(caller, "-f", "-", word, caller.place(), stdin=text)
        refuses(done, "is no image layout: it has no index.json", 1)
        assert ">>> FROM base\n" in done.errors

    def test_an_image_takes_the_place_of_another(self, caller: Caller) -> None:
        text = "FROM never-heard-of\nRUN echo it is there\n"
        word = "--build-context=never-heard-of=docker-image://busybox"
        shows(built(caller, "-f", "-", word, caller.place(), stdin=text), "it is there")
