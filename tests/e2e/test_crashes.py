"""Builds killed at any moment: the store stays sound, and the next build gives the right image.

`PYBUILD_KILLS=50` makes it fifty times for each kind of user, at other moments each time.
"""

import os
import random
import time

from tests.callers import Caller
from tests.leftovers import nothing_left
from tests.program import Pybuild

KILLS = os.environ.get("PYBUILD_KILLS")
TIMES = int(KILLS or 10)
SEED = random.SystemRandom().randrange(1 << 32) if KILLS else 20_110

DOCKERFILE = """
FROM busybox AS one
COPY many /many
RUN for n in $(seq 200); do echo $n > /many/$n; done; rm /many/1; rm -r /many/sub
FROM busybox
WORKDIR /srv
COPY --from=one /many .
RUN echo done > done && chown -R 1:1 .
"""
TREE = (
    *(f"file many/{number} text={number}" for number in range(1, 171)),
    *(f"file many/sub/{number}" for number in range(50)),
)


def test_a_build_killed_at_any_moment_costs_nothing_but_its_steps(caller: Caller) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")  # noqa: T201 - shown when it fails
    context = caller.context(DOCKERFILE, *TREE)
    clean = caller.fresh(FIXED)
    started = time.monotonic()
    clean.build(context).ok()
    whole = time.monotonic() - started
    wanted = clean.inspect("test")["RootFS"]
    program = caller.fresh(FIXED)
    for _ in range(TIMES):
        with nothing_left():
            killed(program, context, chance.uniform(0, 1.2 * whole))
        program("fsck").ok()
        program.build(context).ok()
        assert program.inspect("test")["RootFS"] == wanted
    program("prune", "--force", "--all").ok()
    program("fsck").ok()


FIXED = {"SOURCE_DATE_EPOCH": "1000000000"}
"""Makes two builds of one context the same to the byte."""


def killed(program: Pybuild, context: object, after: float) -> None:
    """Build without the cache, and kill that after some seconds."""
    build = program.start("build", "--no-cache", "-t", "test", str(context))
    time.sleep(after)
    build.kill()
    build.communicate()
