"""One of each op and of each value inside ops, and ways to change one field of it."""

from collections.abc import Iterator
from typing import Any

from buildkit.llb import op as ops
from buildkit.oci.digest import Digest
from runtime.typed import get_args

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")

MOUNTS: tuple[ops.ExecMount, ...] = (
    ops.BindMount(target="/src", origin=1, source="/a", readonly=True),
    ops.CacheMount(
        target="/cache",
        id="pip",
        sharing="shared",
        origin=None,
        source="/",
        mode=0o755,
        uid=0,
        gid=0,
        readonly=False,
    ),
    ops.TmpfsMount(target="/tmp", size=0),
    ops.SecretMount(
        id="token", target="/run/secrets/token", env="", mode=0o400, uid=0, gid=0, required=True
    ),
    ops.SshMount(id="default", target="/ssh", mode=0o600, uid=0, gid=0, required=False),
)

SAMPLES: tuple[ops.Op, ...] = (
    ops.ImageOp(reference="debian:12", config=ONE, diff_ids=(ONE,), platform="linux/amd64"),
    ops.ContextOp(name="context"),
    ops.HttpOp(url="https://example.com/a.txt", filename="a.txt", checksum=ONE),
    ops.GitOp(
        remote="https://example.com/a.git",
        ref="main",
        subdir="",
        keep_git_dir=False,
        submodules=True,
        checksum="",
    ),
    ops.CopyOp(
        sources=(ops.CopySource(origin=1, path="src"), ops.InlineFile(name="EOF", content="hi")),
        dest="/app/",
        chown="",
        chmod="",
        exclude=("*.pyc",),
        parents=False,
        link=False,
        unpack="never",
        keep_owner=False,
    ),
    ops.MkdirOp(path="/app", user=""),
    ops.ExecOp(
        args=("/bin/sh", "-c", "make"),
        env=(("A", "1"), ("B", "2")),
        cwd="/",
        user="",
        network="default",
        security="sandbox",
        mounts=MOUNTS,
        platform="linux/amd64",
        hostname="buildkitsandbox",
        script=None,
        proxy=(("http_proxy", "http://proxy:1"),),
        extra_hosts=(("db", "10.0.0.1"),),
        shm_size=0,
        ulimits=("nofile=10",),
    ),
)

_OTHER_WORDS = {
    "network": "none",
    "security": "insecure",
    "sharing": "locked",
    "unpack": "auto",
    "script": "#!/bin/sh\n",
}


def changed(op: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name of each field of `op`, and `op` with that field changed alone."""
    for field in op._fields:
        value = getattr(op, field)
        name = f"{where}{type(op).__name__}.{field}"
        if field == "extra_hosts":
            yield f"{name} (address)", op._replace(extra_hosts=(("db", "10.9.9.9"),))
            yield f"{name} (name)", op._replace(extra_hosts=(("www", "10.0.0.1"),))
        else:
            yield name, op._replace(**{field: _other(field, value)})
        if isinstance(value, tuple):
            for position, item in enumerate(value):
                if hasattr(item, "_fields"):
                    for inner, new in changed(item, f"{where}{type(op).__name__}."):
                        items = (*value[:position], new, *value[position + 1 :])
                        yield inner, op._replace(**{field: items})


def _other(field: str, value: Any) -> Any:
    match value:
        case _ if field in _OTHER_WORDS:
            return _OTHER_WORDS[field]
        case bool():
            return not value
        case int():
            return value + 1
        case None:
            return 1
        case Digest():
            return OTHER
        case str():
            return value + "x"
        case tuple():
            return value[:-1]
        case _:
            raise AssertionError(f"no other value for {field}")


def kinds() -> set[type]:
    """Return every type of op and of mount that there is."""
    return {*get_args(ops.Op), *get_args(ops.ExecMount)}
