"""When a container is well: what follows from one run of its health check after the other.

In: a check's definition, and how it went. Out: the next state, and when to look again. Pure.
Source: the HEALTHCHECK of the Dockerfile reference; moby's daemon/health.go.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.container import Check, HealthCheck, State

_KEPT = 5
OUTPUT = 4096
"""Bytes of output that are kept of each check."""


def first_delay(check: HealthCheck) -> float:
    """Return the seconds until the first check after the start."""
    if check.start_period and check.start_interval:
        return min(check.start_interval, check.interval)
    return check.interval


def next_delay(check: HealthCheck, state: State, age: float) -> float:
    """Return the seconds until the next check; `age`: since the start."""
    if state.health == "starting" and age < check.start_period:
        return min(check.start_interval, check.interval) or check.interval
    return check.interval


def after(check: HealthCheck, state: State, done: Check, age: float) -> State:
    """Return the state after a check; during the start period failures do not count."""
    checks = (*state.checks, done)[-_KEPT:]
    if done.code == 0:
        return state._replace(health="healthy", failing=0, checks=checks)
    if state.health == "starting" and age < check.start_period:
        return state._replace(checks=checks)
    failing = state.failing + 1
    health = "unhealthy" if failing >= check.retries else state.health
    return state._replace(health=health, failing=failing, checks=checks)
