"""Which things of the store a filter of `du` means."""

import pytest

from buildkit.cli.du_filters import predicate
from buildkit.errors import UsageError
from buildkit.usage import Entry

OLD, NEW = 1_000.0, 4e9
THINGS = {
    "app": ("image", Entry("sha256:aa11", 10, OLD, active=True, description="app:1", shared=4)),
    "web": ("image", Entry("sha256:ab22", 10, NEW, active=False, description="web:1, web:2")),
    "run": ("step", Entry("aa33", 10, NEW, active=False, description="RUN make, install")),
    "pip": ("cache", Entry("pip-1", 10, OLD, active=False, description="cache mount")),
    "box": ("container", Entry("bb44", 10, 0.0, active=True)),
}


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([], "app web run pip box"),
        (["type=image"], "app web"),
        (["type=step", "type=cache"], "run pip"),
        (["type=regular,type=exec.cachemount"], "run pip"),
        (["type!=image"], "run pip box"),
        (["type~=^(image|cache)$"], "app web pip"),
        (["id=aa"], "app run"),
        (["id==sha256:aa"], "app run"),
        (["id=aa,id=bb"], "app run box"),
        (["id!=aa"], "web pip box"),
        (["id~=[24]+$"], "web box"),
        (["description=web:2"], "web"),
        (["description~=make, (un)?install"], "run"),
        (["description!=:1"], "run pip box"),
        (["inuse"], "app box"),
        (["inuse=false"], "web run pip"),
        (["shared"], "app"),
        (["private=true", "type=image"], "web"),
        (["mutable"], "pip box"),
        (["immutable,inuse=1"], "app"),
        (["until=1h"], "app pip box"),
        (["until=2001-01-01,type=image"], "app"),
    ],
)
def test_a_filter_means_some_things(texts: list[str], wanted: str) -> None:
    test = predicate(texts)
    assert [name for name, thing in THINGS.items() if test(*thing)] == wanted.split()


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "x=1", "=1", "type", "type=", "type=images", "id", "id~=(", "description"),
        *("inuse=maybe", "inuse!=true", "shared~=a", "until", "until=", "until=soon", "until!=1h"),
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        predicate([text])
