"""What --cache-from and --cache-to say."""

import pytest

from buildkit.errors import UsageError
from buildkit.oci.digest import Digest
from buildkit.oci.reference import Reference
from buildkit.remotecache.attributes import CachePlace, Direction, parse_cache

APP = Reference.parse("example.org/app:cache")
DIGEST = Digest.of(b"x")

RIGHT: list[tuple[Direction, str, CachePlace]] = [
    ("from", "example.org/app:cache", CachePlace("registry", APP)),
    ("from", "type=registry,ref=example.org/app:cache", CachePlace("registry", APP)),
    ("from", "ref=example.org/app:cache", CachePlace("registry", APP)),
    ("from", "type=inline,ref=example.org/app:cache", CachePlace("registry", APP)),
    ("from", "type=local,src=dir", CachePlace("local", directory="dir")),
    (
        "from",
        f"type=local,src=dir,tag=main,digest={DIGEST}",
        CachePlace("local", directory="dir", tag="main", digest=DIGEST),
    ),
    (
        "to",
        "type=local,dest=dir,mode=max",
        CachePlace("local", directory="dir", mode="max"),
    ),
    (
        "to",
        (
            "type=registry,ref=example.org/app:cache,compression=zstd,compression-level=19,"
            "force-compression=true,oci-mediatypes=false,image-manifest=true,ignore-error=true"
        ),
        CachePlace(
            "registry",
            APP,
            compression="zstd",
            level=19,
            force_compression=True,
            docker=True,
            ignore_error=True,
        ),
    ),
    ("to", "type=inline", CachePlace("inline")),
    (
        "to",
        'type=local,"dest=a,b","mounts=one,two",mounts=three;one',
        CachePlace("local", directory="a,b", mounts=("one", "two", "three")),
    ),
    (
        "to",
        "type=local,dest=d,reset=true",
        CachePlace("local", directory="d", reset=True),
    ),
]


@pytest.mark.parametrize(("direction", "text", "place"), RIGHT)
def test_what_is_written_is_what_is_meant(
    direction: Direction, text: str, place: CachePlace
) -> None:
    assert parse_cache(text, direction) == place


WRONG: list[tuple[Direction, str, str]] = [
    ("from", "", "without a value"),
    ("from", "type=local", "needs src=DIRECTORY"),
    ("to", "type=local", "needs dest=DIRECTORY"),
    ("to", "type=registry", "needs ref=NAME"),
    ("from", "app/Case", "--cache-from: "),
    ("from", "type=gha", "type=gha is not supported"),
    ("from", "type=nothing", "no cache type is called 'nothing'"),
    ("to", "type=local,dset=x", "no attribute 'dset'"),
    ("from", "type=local,dest=x", "has no attribute dest"),
    ("from", "type=local,src=x,mode=max", "has no attribute mode"),
    ("to", "type=inline,dest=x", "type=inline has no attribute dest"),
    ("to", "type=inline,mode=max", "mode=min only"),
    ("to", "type=local,dest=x,mode=all", "neither min nor max"),
    ("to", "type=local,dest=x,compression=xz", "no compression is called 'xz'"),
    ("to", "type=local,dest=x,compression-level=10", "from 0 to 9, not 10"),
    ("to", "type=local,dest=x,compression-level=-1", "not a level"),
    ("to", "type=local,dest=x,ignore-error=maybe", "neither true nor false"),
    ("to", "type=local,dest=x,image-manifest=false", "not supported"),
    ("to", "type=local,dest=x,tag=../x", "is no tag"),
    ("from", "type=local,src=x,digest=sha256:1", "digest"),
    ("to", f"type=registry,ref=app@{DIGEST}", "a digest is not given"),
    ("to", "type=local,dest=x,mounts=", "mounts is empty"),
    ("to", "type=local,dest", "has no value"),
]


@pytest.mark.parametrize(("direction", "text", "message"), WRONG)
def test_what_cannot_be_meant_is_refused(direction: Direction, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_cache(text, direction)
