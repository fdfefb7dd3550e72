"""Values of the options of `run`."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from buildkit.containers import flags
from buildkit.containers.changes import changed
from buildkit.containers.health import health_of
from buildkit.containers.mounts import Wanted, parse_mount, parse_tmpfs, parse_volume, with_volumes
from buildkit.containers.record import Secret
from buildkit.errors import UsageError
from buildkit.oci.config import ContainerConfig, Healthcheck
from runtime.container import HealthCheck, Logging, Restart
from runtime.spec import Device, MountFlag

_TMPFS: tuple[MountFlag, ...] = ("nosuid", "nodev")
HERE = str(Path(__file__).parent)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (flags.parse_signal, "TERM", 15),
        (flags.parse_signal, "sigterm", 15),
        (flags.parse_signal, "9", 9),
        (flags.parse_signal, "RTMIN+3", 37),
        (flags.parse_signal, "SIGRTMAX-1", 63),
        (flags.parse_restart, "no", Restart()),
        (flags.parse_restart, "on-failure:3", Restart("on-failure", 3)),
        (flags.parse_restart, "always", Restart("always")),
        (flags.parse_entrypoint, "", ()),
        (flags.parse_entrypoint, "/bin/x y", ("/bin/x y",)),
        (flags.parse_entrypoint, '["a", "b c"]', ("a", "b c")),
        (flags.parse_device, "/dev/null", (Device("/dev/null", "/dev/null"),)),
        (flags.parse_device, "/dev/null:/dev/x/y:rwm", (Device("/dev/null", "/dev/x/y"),)),
        (flags.parse_sysctl, "net.a=1", ("net.a", "1")),
        (flags.parse_secret, "id=a,src=/x", Secret("/x", "", "/run/secrets/a")),
        (
            flags.parse_secret,
            "id=a,env=B,target=/t,mode=0440,uid=5",
            Secret("", "B", "/t", 0o440, 5),
        ),
        (partial(flags.seconds_of, "--x"), "30", 30.0),
        (partial(flags.seconds_of, "--x"), "500ms", 0.5),
        (partial(flags.seconds_of, "--x"), "1m0.5s", 60.5),
        (partial(flags.seconds_of, "--x"), "1.5h", 5400.0),
        (parse_volume, "/data", Wanted("volume", "/data")),
        (parse_volume, "v1:/data:ro", Wanted("volume", "/data", "v1", readonly=True)),
        (parse_volume, f"{HERE}:/data:ro,noexec",
         Wanted("bind", "/data", HERE, readonly=True, flags=("noexec",))),
        (parse_volume, "v:/data:U,ro", Wanted("volume", "/data", "v", readonly=True, chown=True)),
        (parse_mount, "source=v,target=/d,chown=true", Wanted("volume", "/d", "v", chown=True)),
        (parse_mount, "source=v,target=/d,U=false", Wanted("volume", "/d", "v")),
        (parse_volume, f"{HERE}:/data:O,z", Wanted("bind", "/data", HERE, thrown_away=True)),
        (parse_mount, "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=0700",
         Wanted("tmpfs", "/t", size=1 << 20, mode=0o700, flags=("nosuid", "nodev"))),
        (parse_mount, f"type=bind,src={HERE},dst=/d,readonly",
         Wanted("bind", "/d", HERE, readonly=True)),
        (parse_mount, 'type=tmpfs,"target=/a,""b"""', Wanted("tmpfs", '/a,"b"', flags=_TMPFS)),
        (flags.parse_secret, '"src=/x,y",id=a', Secret("/x,y", "", "/run/secrets/a")),
        (parse_mount, "source=v,target=/d,volume-subpath=a/../b",
         Wanted("volume", "/d", "v", copies=False, path="a/../b")),
        (parse_mount, "source=v,target=/d,subpath=/a",
         Wanted("volume", "/d", "v", copies=False, path="a")),
        (parse_mount, "source=v,target=/d,volume-subpath=", Wanted("volume", "/d", "v")),
        (parse_mount, "source=v,target=/d,volume-nocopy",
         Wanted("volume", "/d", "v", copies=False)),
        (parse_mount, "type=image,source=i:1,destination=/d,rw=false,image-subpath=a/b",
         Wanted("image", "/d", "i:1", readonly=True, path="a/b")),
        (parse_tmpfs, "/t:uid=5,gid=0",
         Wanted("tmpfs", "/t", flags=("nosuid", "nodev"), uid=5)),
        (parse_tmpfs, "/t:size=1k,ro",
         Wanted("tmpfs", "/t", readonly=True, size=1024, flags=("nosuid", "nodev"))),
    ],
)  # fmt: skip
def test_forms(parse: Any, text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (flags.parse_signal, "TERMINATE"),
        (flags.parse_signal, "0"),
        (flags.parse_signal, "9" * 5000),
        (flags.parse_restart, f"on-failure:{'9' * 5000}"),
        (flags.parse_signal, "TERM+1"),
        (flags.parse_signal, "RTMAX+1"),
        (flags.parse_signal, "RTMIN-1"),
        (flags.parse_restart, "sometimes"),
        (flags.parse_restart, "always:3"),
        (flags.parse_device, "null"),
        (flags.parse_device, "/dev/no/such"),
        (flags.parse_device, "/dev/null:/tmp/x"),
        (flags.parse_device, "/dev/null:/dev/../x"),
        (flags.parse_device, "/dev/null:/dev/x:r"),
        (flags.parse_device, "/etc/passwd:/dev/x"),
        (flags.parse_device, f"{HERE}:/dev/x"),
        (flags.parse_sysctl, "net.a"),
        (flags.parse_secret, "id=a"),
        (flags.parse_secret, "src=/x,env=Y"),
        (parse_volume, "v1:relative"),
        (parse_volume, "v1:/"),
        (parse_volume, "/no/such/place:/data"),
        (parse_volume, "v1:/data:wat"),
        (parse_volume, "a:b:c:d"),
        (parse_volume, f"{__file__}:/data:O"),
        (parse_volume, f"{HERE}:/data:O,upperdir=/tmp"),
        (parse_volume, f"{HERE}:/data:O,U"),
        (parse_tmpfs, "/data:O"),
        (parse_tmpfs, "/data:U"),
        (parse_mount, "type=tmpfs,target=/t,U=true"),
        (parse_mount, "type=image,source=i,target=/d,chown=true"),
        (parse_volume, ".hidden$:/data"),
        (partial(flags.seconds_of, "--x"), "0.5"),
        (partial(flags.seconds_of, "--x"), "1.5"),
        (partial(flags.seconds_of, "--x"), "5 s"),
        (parse_mount, "type=npipe,target=/d"),
        (parse_mount, "type=bind,source=/no/such,target=/d"),
        (parse_mount, "type=volume"),
        (parse_mount, 'type=tmpfs,target="/d"'),
        (parse_mount, 'type=tmpfs,"target=/d'),
        (parse_mount, 'type=tmpfs,"target=/d"x'),
        (flags.parse_secret, 'id=a,"src=/x'),
        (parse_mount, "source=v,target=/d,volume-subpath=/a"),
        (parse_mount, "source=v,target=/d,volume-subpath=a/../.."),
        (parse_mount, "source=v,target=/d,subpath=../a"),
        (parse_mount, "source=v,target=/d,subpath=a\0b"),
        (parse_mount, "target=/d,volume-subpath=a"),
        (parse_mount, f"type=bind,source={HERE},target=/d,subpath=a"),
        (parse_mount, "type=image,target=/d"),
        (parse_mount, "type=image,source=i,target=/d,rw"),
        (parse_mount, "type=image,source=i,target=/d,ro=false"),
        (parse_mount, "type=image,source=i,target=/d,volume-nocopy"),
        (parse_tmpfs, "/t:size=lots"),
        (parse_tmpfs, "/t:size=%"),
        (parse_tmpfs, "/t:size=0%"),
        (parse_tmpfs, "/t:size=-1%"),
        (parse_tmpfs, "/t:size=1.5%"),
        (parse_tmpfs, "/t:size=²%"),
        (parse_mount, "type=tmpfs,target=/t,tmpfs-size=10%%"),
        (parse_tmpfs, "/t:uid=-1"),
        (parse_mount, f"type=bind,source={HERE},target=/d,size=1m"),
    ],
)
def test_what_makes_no_sense_is_refused(parse: Any, text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_variables_come_from_files_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").write_text("# no\n\nA=file\nB=file\n")
    monkeypatch.setenv("TAKEN", "host")
    monkeypatch.delenv("MISSING", raising=False)
    found = flags.parse_env(["A=own", "TAKEN", "MISSING"], [str(tmp_path / "env")])
    assert dict(found) == {"A": "own", "B": "file", "TAKEN": "host"}


def test_volumes_of_an_image_are_anonymous_unless_something_is_there() -> None:
    own = Wanted("tmpfs", "/cache")
    found = with_volumes((own,), ("/cache", "/data/", "/data"))
    assert found == (own, Wanted("volume", "/data"))


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (Healthcheck(("NONE",)), None),
        (Healthcheck(("CMD", "a", "b")), HealthCheck(("a", "b"))),
        (
            Healthcheck(("CMD-SHELL", "a b"), interval=2_000_000_000, retries=7),
            HealthCheck(("/bin/sh", "-c", "a b"), interval=2.0, retries=7),
        ),
    ],
)
def test_health_checks_of_images(check: Healthcheck, value: HealthCheck | None) -> None:
    assert health_of(check) == value


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('CMD ["a", "b"]', "cmd", ("a", "b")),
        ("CMD a b", "cmd", ("/bin/sh", "-c", "a b")),
        ("ENTRYPOINT []", "entrypoint", None),
        ("ENV A=1 B='2 3'", "env", ("OLD=x", "A=1", "B=2 3")),
        ("ENV OLD new value", "env", ("OLD=new value",)),
        ("LABEL a=b", "labels", (("a", "b"),)),
        ("USER 5", "user", "5"),
        ("WORKDIR /w", "working_dir", "/w"),
        ("EXPOSE 80 53/udp", "exposed_ports", ("53/udp", "80/tcp")),
        ("VOLUME /v", "volumes", ("/v",)),
        ("STOPSIGNAL INT", "stop_signal", "INT"),
        ("onbuild RUN x", "onbuild", ("RUN x",)),
    ],
)
def test_changes_of_a_config(line: str, field: str, value: object) -> None:
    config = changed(ContainerConfig(env=("OLD=x",)), [line])
    assert getattr(config, field) == value


@pytest.mark.parametrize("line", ["RUN x", "ENV", "ENV =x", "USER", "EXPOSE a", "EXPOSE ²", ""])
def test_changes_that_are_none(line: str) -> None:
    with pytest.raises(UsageError):
        changed(ContainerConfig(), [line])


def test_logging_is_bounded() -> None:
    assert flags.parse_logging("none", []) == Logging(files=0)
    assert flags.parse_logging("", ["max-size=1m", "max-file=5"]) == Logging(1 << 20, 5)
    for driver, text in (
        ("syslog", []),
        ("", ["max-file=0"]),
        ("", [f"max-file={'9' * 5000}"]),
        ("", ["x=1"]),
    ):
        with pytest.raises(UsageError):
            flags.parse_logging(driver, text)  # type: ignore[arg-type]
