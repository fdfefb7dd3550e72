"""What doctor finds out about a machine."""

import subprocess

import pytest

from runtime import probe
from runtime.errors import UnsupportedError
from runtime.probe import Feature
from tests.kernel import REPOSITORY, as_user, interpreter_for, needs, ordinary_user

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from runtime import probe
for feature in probe.features():
    print(feature.name, feature.works, feature.reason, feature.hint, feature.detail, sep="|")
"""


def found(*, ordinary: bool) -> dict[str, Feature]:
    user = ordinary_user() if ordinary else None
    done = subprocess.run(
        [interpreter_for(user), "-B", "-c", PROGRAM, str(REPOSITORY)],
        capture_output=True,
        text=True,
        check=True,
        **as_user(user),  # type: ignore[call-overload]
    )
    features = {}
    for line in done.stdout.splitlines():
        name, works, reason, hint, detail = line.split("|")
        features[name] = Feature(name, works == "True", reason, hint, detail)
    return features


@pytest.mark.parametrize("ordinary", [False, pytest.param(True, marks=needs("rootless"))])
def test_every_feature_works_or_has_a_reason(ordinary: bool) -> None:
    features = found(ordinary=ordinary)
    assert len(features) == 13
    for feature in features.values():
        assert feature.works or feature.reason, feature
        assert not (feature.works and feature.reason), feature
    assert features["own namespaces"].works
    assert features["overlay"].works
    assert features["own /proc"].works


def test_an_attempt_that_fails_gives_its_reason_and_hint() -> None:
    def attempt() -> str:
        raise UnsupportedError("this", "it is broken", hint="mend it")

    feature = probe._tried("this", attempt, hint="other")
    assert feature == Feature("this", works=False, reason="this: it is broken", hint="mend it")


def test_an_attempt_that_dies_is_a_failure() -> None:
    def attempt() -> str:
        raise SystemExit

    assert not probe._tried("this", attempt).works
