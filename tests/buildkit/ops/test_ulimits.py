"""--ulimit as text."""

import pytest

from buildkit.errors import UsageError
from buildkit.ops.ulimits import parse_ulimit
from runtime.spec import Rlimit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=1024", Rlimit("nofile", 1024, 1024)),
        ("nofile=1024:2048", Rlimit("nofile", 1024, 2048)),
        ("core=0", Rlimit("core", 0, 0)),
        ("core=-1", Rlimit("core", -1, -1)),
        ("core=0:unlimited", Rlimit("core", 0, -1)),
    ],
)
def test_a_limit_is_soft_and_hard(text: str, limit: Rlimit) -> None:
    assert parse_ulimit(text) == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("files=1", "invalid ulimit 'files=1'"),
        ("nofile", "invalid ulimit 'nofile'"),
        ("nofile=", "invalid ulimit 'nofile='"),
        ("nofile=1:", "invalid ulimit 'nofile=1:'"),
        ("nofile=many", "invalid ulimit"),
        ("nofile=1.5", "invalid ulimit"),
        ("nofile=-2", "invalid ulimit"),
        ("nofile=2:1", "the soft limit is above the hard one"),
        ("nofile=-1:1", "the soft limit is above the hard one"),
        ("nofile=9999999999999999999", "invalid ulimit"),
    ],
)
def test_what_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_ulimit(text)
