"""Dockerfiles and the graphs they come to, as pairs of texts below `fixtures/plans`."""

from pathlib import Path

import pytest

from tests.buildkit.frontend.plans import PLANS, plan_of

CASES = sorted(path for path in PLANS.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_dockerfile_comes_to_its_plan(case: Path) -> None:
    assert plan_of(case) == (case / "plan.txt").read_text()
