"""Options of build that have a syntax of their own: what they mean, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.cli import values
from buildkit.errors import UsageError
from buildkit.frontend.options import NamedContext
from buildkit.oci.platforms import Platform


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("b=docker-image://debian:12", NamedContext("image", "debian:12")),
        ("b=oci-layout:///l@sha256:1", NamedContext("image", "oci-layout:///l@sha256:1")),
        ("b=https://x/r.git#v1:sub", NamedContext("git", "https://x/r.git#v1:sub")),
        ("b=git@x.org:r", NamedContext("git", "git@x.org:r")),
        ("b=github.com/o/r", NamedContext("git", "github.com/o/r")),
        ("b=https://x/a.tar.gz", NamedContext("http", "https://x/a.tar.gz")),
    ],
)
def test_a_context_from_elsewhere_is_told_by_its_form(text: str, context: NamedContext) -> None:
    assert values.context_of([text]) == ({}, {"b": context})


def test_a_directory_is_a_context_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "github.com/o/r").mkdir(parents=True)
    assert values.context_of(["Name=github.com/o/r"]) == (
        {"name": "github.com/o/r"},
        {"name": NamedContext("local")},
    )


@pytest.mark.parametrize(
    ("text", "reference"),
    [("app", "docker.io/library/app:latest"), ("r.example:5000/a/b:1", "r.example:5000/a/b:1")],
)
def test_a_tag_is_a_name(text: str, reference: str) -> None:
    assert str(values.tag_of(text)) == reference


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("", None),
        ("linux/arm64", Platform("linux", "arm64")),
        ("arm", Platform("linux", "arm", "v7")),
    ],
)
def test_a_platform(text: str, platform: Platform | None) -> None:
    assert values.platforms_of([text]) == (() if platform is None else (platform,))


def test_platforms_are_several_options_or_one_list() -> None:
    amd64, arm64 = Platform("linux", "amd64"), Platform("linux", "arm64")
    assert values.platforms_of([]) == values.platforms_of([""]) == ()
    assert values.platforms_of(["linux/amd64, arm64", "x86_64"]) == (amd64, arm64)


Parse = Callable[[str], object]

REFUSED: list[tuple[Parse, str, str]] = [
    (lambda text: values.context_of([text]), "x", "invalid --build-context 'x'"),
    (lambda text: values.context_of([text]), "=x", "invalid --build-context '=x'"),
    (lambda text: values.context_of([text]), "x=", "invalid --build-context 'x='"),
    (lambda text: values.context_of([text]), "x=/none", 'path "/none" not found'),
    (lambda text: values.context_of([text]), "x=/etc/passwd", "is not a directory"),
    (lambda text: values.context_of([text]), "x=target:y", "targets are known to bake only"),
    (values.tag_of, "App", "has upper-case letters"),
    (values.tag_of, "app:", 'invalid tag "app:": empty tag'),
    (values.tag_of, "sha256:abc", "refusing to create an ambiguous tag"),
    (values.tag_of, "", 'invalid tag ""'),
    (values.tag_of, f"app@sha256:{'0' * 64}", "a digest is not given but comes out"),
    (lambda text: values.platforms_of([text]), "windows/amd64", "only images for linux"),
    (lambda text: values.platforms_of([text]), "a/b/c/d", "not a platform"),
    (
        lambda text: values.platforms_of([text]),
        "amd65",
        "neither an operating system nor an architecture",
    ),
    (values.network_of, "x", 'invalid network mode "x"'),
    (values.host_of, "x", "invalid --add-host 'x'"),
    (values.host_of, ":10.0.0.1", "invalid --add-host"),
    (values.host_of, "x:10.0.0", "invalid IP address in --add-host"),
    (values.epoch_of, "now", "invalid --source-date-epoch 'now'"),
    (values.epoch_of, "", "invalid --source-date-epoch ''"),
    (values.epoch_of, "-1", "invalid --source-date-epoch '-1'"),
    (lambda text: values.parse_size("--shm-size", text), "big", "invalid value for --shm-size"),
    (lambda text: values.check_ulimits([text]), "files=1", "invalid ulimit 'files=1'"),
    (lambda text: values.pair_of("--build-arg", text), "=x", "invalid --build-arg '=x'"),
    (values.split_secret, "src=x", "has no id"),
    (values.split_secret, "id", "invalid --secret 'id'"),
    (values.split_secret, "id=x,dest=y", "invalid --secret"),
    (values.split_secret, "id=x,type=file,src=/none", "secret x: /none: no such file"),
    (values.split_secret, "id=nowhere-at-all", "secret nowhere-at-all: nowhere-at-all: no such"),
    (values.split_secret, "id=x,type=socket", "unknown secret type 'socket'"),
    (values.split_secret, "id=x,env=A,src=/etc/passwd", "has two sources"),
    (values.split_secret, "id=x,env=A,rebuild=maybe", "rebuild is true or false"),
]


@pytest.mark.parametrize(("parse", "text", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_cannot_be_is_refused(parse: Parse, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert message in raised.value.message
