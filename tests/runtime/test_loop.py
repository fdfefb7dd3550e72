"""What the loop waits for."""

import os

from runtime.loop import Loop


def test_a_moment_in_years_is_no_obstacle_to_what_comes_before() -> None:
    loop = Loop()
    calls: list[str] = []
    loop.after(1e9, lambda: calls.append("in years"))
    here, there = os.pipe()
    os.write(there, b"x")
    loop.watch(here, lambda: calls.append("now"))
    loop.turn()
    assert calls == ["now"]
    os.close(here)
    os.close(there)
