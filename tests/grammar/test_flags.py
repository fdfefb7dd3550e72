"""The values of RUN --mount: docs/dockerfile.md, 10.5, a row a sentence."""

import pytest

from grammar.errors import FlagError
from grammar.flags import (
    BindMount,
    CacheMount,
    RunMount,
    SecretMount,
    SshMount,
    TmpfsMount,
    check_run_mount,
    parse_run_mount,
)
from grammar.source import Span

SPAN = Span("Dockerfile", 1, 0, 1, 1)
CSV = "failed to parse csv mounts: parse error on line 1, column"


def cache(target: str, **given: object) -> CacheMount:
    plain = CacheMount(target, "/", None, False, target, "shared", 0o755, 0, 0, SPAN)
    return plain._replace(**given)  # type: ignore[arg-type]


def secret(name: str, target: str | None, **given: object) -> SecretMount:
    plain = SecretMount(name, target, None, False, 0o400, 0, 0, SPAN)
    return plain._replace(**given)  # type: ignore[arg-type]


def ssh(**given: object) -> SshMount:
    plain = SshMount("default", None, False, 0o600, 0, 0, SPAN)
    return plain._replace(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/a", BindMount("/a", "/", None, True, SPAN)),
        ("type=bind,dst=/a,src=b,from=c,rw", BindMount("/a", "b", "c", False, SPAN)),
        ("type=BIND,destination=/a,readwrite=false", BindMount("/a", "/", None, True, SPAN)),
        ("type=bind,target=/a,ro=0", BindMount("/a", "/", None, False, SPAN)),
        ("type=cache,target=/a", cache("/a")),
        ("type=cache,target=/a/../b//c/", cache("/a/../b//c/", id="/b/c")),
        ("type=cache,target=/a,id=x,sharing=LOCKED", cache("/a", id="x", sharing="locked")),
        ("type=cache,target=/a,mode=0700,uid=1,gid=2", cache("/a", mode=0o700, uid=1, gid=2)),
        ("type=cache,target=/a,from=b,source=/c", cache("/a", origin="b", source="/c")),
        ("type=cache,target=/a,readonly", cache("/a", readonly=True)),
        ("type=tmpfs,target=/a", TmpfsMount("/a", False, None, SPAN)),
        ("type=tmpfs,target=/a,size=64m", TmpfsMount("/a", False, 64 << 20, SPAN)),
        ("type=secret,id=a", secret("a", "/run/secrets/a")),
        ("type=secret,id=a/b", secret("a/b", "/run/secrets/b")),
        ("type=secret,source=a", secret("a", "/run/secrets/a")),
        ("type=secret,target=/x/y", secret("y", "/x/y")),
        ("type=secret,id=a,env=A", secret("a", None, env="A")),
        ("type=secret,id=a,env=A,target=/b", secret("a", "/b", env="A")),
        ("type=secret,id=a,required", secret("a", "/run/secrets/a", required=True)),
        ("type=secret,id=a,required=false", secret("a", "/run/secrets/a")),
        ("type=secret,id=a,mode=0440,uid=5", secret("a", "/run/secrets/a", mode=0o440, uid=5)),
        ("type=ssh", ssh()),
        ("type=ssh,id=a,target=/b,required=true", ssh(id="a", target="/b", required=True)),
        ('"target=/a,b",type=bind', BindMount("/a,b", "/", None, True, SPAN)),
        ('target=/a,"source=b""c"', BindMount("/a", 'b"c', None, True, SPAN)),
    ],
)
def test_a_mount_has_its_defaults(text: str, mount: RunMount) -> None:
    assert parse_run_mount(text, SPAN) == mount
    assert type(parse_run_mount(text, SPAN)) is type(mount)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=x", 'unsupported mount type "x"'),
        ("type=cahce", 'unsupported mount type "cahce" (did you mean cache?)'),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("type=bind,,target=/a", "invalid field '' must be a key=value pair"),
        ("type=tmpfs,siz=1", "unexpected key 'siz' in 'siz=1' (did you mean size?)"),
        ("nonsense=1", "unexpected key 'nonsense' in 'nonsense=1'"),
        ("size=1,type=tmpfs", "unexpected key 'size' for mount type 'bind'"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,required=true", "unexpected key 'required' for mount type 'cache'"),
        ("env=A", "unexpected key 'env' for mount type 'bind'"),
        ("type=cache,sharing=x", 'unsupported sharing value "x"'),
        ("type=cache,sharing=shard", 'unsupported sharing value "shard" (did you mean shared?)'),
        ("sharing=locked", "invalid cache sharing set for bind mount"),
        ("mode=0644", 'mode not allowed for "bind" type mounts'),
        ("type=tmpfs,uid=1", 'uid not allowed for "tmpfs" type mounts'),
        ("type=bind,gid=1", 'gid not allowed for "bind" type mounts'),
        ("type=cache,mode=9", "invalid value 9 for mode"),
        ("type=cache,mode=0o7", "invalid value 0o7 for mode"),
        ("type=cache,uid=x", "invalid value x for uid"),
        ("type=cache,gid=-1", "invalid value -1 for gid"),
        ("type=cache,gid=4294967296", "invalid value 4294967296 for gid"),
        ("ro=yes", "invalid value for ro: yes"),
        ("rw=", "invalid value for rw: "),
        ("type=ssh,required=2", "invalid value for required: 2"),
        ("type=tmpfs,size=big", "invalid value for size: big"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=locked", "secret mount should not define sharing"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=ssh,source=a", "ssh does not support source"),
        ("", "failed to parse csv mounts: EOF"),
        ('a"b', f'{CSV} 2: bare " in non-quoted field'),
        ('"a', f'{CSV} 3: extraneous or missing " in quoted-field'),
        ('"a"b', f'{CSV} 3: extraneous or missing " in quoted-field'),
    ],
)  # fmt: skip
def test_a_mount_that_is_none_says_why(text: str, message: str) -> None:
    with pytest.raises(FlagError) as raised:
        parse_run_mount(text, SPAN)
    assert str(raised.value) == message
    assert raised.value.span == SPAN


def test_values_are_expanded_after_the_record_is_split() -> None:
    mount = parse_run_mount("target=$x", SPAN, {"$x": "/a,type=ssh"}.__getitem__)
    assert mount == BindMount("/a,type=ssh", "/", None, True, SPAN)


def test_a_variable_in_from_is_refused_before_variables_are_known() -> None:
    check_run_mount("from=a,target=$b", SPAN)
    check_run_mount("from=$", SPAN)
    with pytest.raises(FlagError, match="'from' doesn't support variable expansion"):
        check_run_mount("target=/a,from=$b", SPAN)
