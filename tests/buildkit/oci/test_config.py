import json

import pytest

from buildkit.oci.config import ContainerConfig, Healthcheck, History, ImageConfig
from buildkit.oci.digest import Digest
from buildkit.oci.fields import DocumentError
from buildkit.oci.platforms import Platform

DIFF = Digest("sha256:" + "1" * 64)

FULL = ImageConfig(
    platform=Platform("linux", "arm", "v7"),
    created="2024-01-02T03:04:05Z",
    author="me <me@example.org>",
    config=ContainerConfig(
        user="1000:1000",
        exposed_ports=("53/udp", "80/tcp"),
        env=("PATH=/bin", "A=b=c"),
        entrypoint=("/init",),
        cmd=("a b", "c"),
        volumes=("/data",),
        working_dir="/srv",
        labels=(("a", "1"), ("z", "")),
        stop_signal="SIGINT",
        args_escaped=True,
        healthcheck=Healthcheck(("CMD", "true"), interval=1_000_000_000, retries=3),
        onbuild=("RUN x",),
        shell=("/bin/bash", "-c"),
    ),
    diff_ids=(DIFF,),
    history=(
        History("2024-01-02T03:04:05Z", "RUN x", comment="c"),
        History("", "ENV A=b=c", author="me", empty_layer=True),
    ),
)


@pytest.mark.parametrize("config", [FULL, ImageConfig(Platform("linux", "amd64"))])
def test_a_config_survives_encoding(config: ImageConfig) -> None:
    assert ImageConfig.parse(config.encode()) == config


def test_members_stand_in_the_order_of_buildkits_exporter() -> None:
    text = FULL.encode().decode()
    assert list(json.loads(text)) == [
        *("architecture", "author", "config", "created", "history", "os", "rootfs", "variant"),
    ]
    assert list(json.loads(text)["config"]) == [
        *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
        *("StopSignal", "ArgsEscaped", "Healthcheck", "OnBuild", "Shell"),
    ]


def test_what_is_not_set_is_not_written() -> None:
    config = ImageConfig(Platform("linux", "amd64"))
    assert config.encode() == (
        b'{"architecture":"amd64","config":{},"os":"linux",'
        b'"rootfs":{"type":"layers","diff_ids":[]}}'
    )


def test_dockers_own_members_and_empty_lists_are_let_through() -> None:
    data = json.dumps(
        {
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "docker_version": "27",
            "container_config": {"Hostname": "x"},
            "config": {"Cmd": [], "Env": None, "Tty": False},
            "rootfs": {"type": "layers", "diff_ids": [DIFF]},
        }
    ).encode()
    config = ImageConfig.parse(data)
    assert config.platform == Platform("linux", "arm64")
    assert config.config == ContainerConfig()
    assert config.diff_ids == (DIFF,)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "config.rootfs: missing"),
        ({"rootfs": {"type": "tree"}}, "config.rootfs.type: not layers"),
        ({"rootfs": {"diff_ids": ["md5:x"]}}, "config.rootfs.diff_ids[0]: not a sha256"),
        ({"rootfs": {}, "config": {"Env": "A=b"}}, "config.config.Env: not an array"),
        ({"rootfs": {}, "config": {"User": 7}}, "config.config.User: not a string"),
        ({"rootfs": {}, "history": [1]}, "config.history[0]: not an object"),
    ],
)
def test_a_config_of_another_shape_is_refused(document: object, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        ImageConfig.parse(json.dumps(document).encode())
    assert str(caught.value).startswith(message)
