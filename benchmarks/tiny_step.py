"""What one tiny RUN step costs, beside buildah: commit and record included, start-up excluded.

A Dockerfile with twenty-one new steps and one with a single new step are built in turn; the
difference, divided by twenty, is the cost of a step.

    python benchmarks/tiny_step.py [--runs N] [--json]
"""

from collections.abc import Callable

from pairs import Stage, measure, options, show, stage

STEPS = 20


def dockerfile(steps: int, salt: str) -> str:
    """Return a Dockerfile with `steps` steps that no cache knows."""
    lines = [f"RUN : {salt} {number}; echo {number} > /number" for number in range(steps)]
    return "\n".join(["FROM bench-base", *lines, ""])


def a_step(scene: Stage, name: str, build: Callable[[str], float]) -> Callable[[int], float]:
    """Return a function that gives the seconds of one step, for the run with a given number."""

    def measured(run: int) -> float:
        seconds = []
        for steps in (STEPS + 1, 1):
            context = scene.directory / f"{name}-{run}-{steps}"
            context.mkdir()
            (context / "Dockerfile").write_text(dockerfile(steps, f"{name} {run} {steps}"))
            seconds.append(build(context.name))
        return (seconds[0] - seconds[1]) / STEPS

    return measured


def main() -> None:
    """Print the comparison."""
    args = options(__doc__ or "", runs=5)
    with stage() as scene:
        ours = a_step(scene, "ours", lambda context: scene.pybuild("-q", "-t", "bench", context))
        theirs = a_step(
            scene,
            "theirs",
            lambda context: scene.buildah("bud", "--layers", "-q", "-t", "bench", context),
        )
        show([measure("one tiny RUN step", ours, theirs, args.runs)], peer="buildah",
             as_json=args.json)  # fmt: skip


if __name__ == "__main__":
    main()
