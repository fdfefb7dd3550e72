"""A context of 50,000 files and 200 MB in one COPY, beside buildah: no-op, one file changed, cold.

The last one once more with a WORKDIR and a COPY of one file behind it, which need none of these.

    python benchmarks/big_context.py [--runs N] [--json]

Cold builds get a new store each, and none is removed before the end: ext4 makes files several
times slower for seconds after many were removed.
"""

import os
from collections.abc import Callable
from pathlib import Path

from pairs import Stage, measure, options, show, stage

FILES = 50_000
DIRECTORIES = 500
SIZE = 200_000_000 // FILES
DOCKERFILE = "FROM bench-base\nCOPY . /src\n"
BEHIND = "WORKDIR /src/out\nCOPY Dockerfile /etc/app/\n"


def fill(context: Path) -> None:
    """Make the context; no two files are the same."""
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "Behind").write_text(DOCKERFILE + BEHIND)
    block = os.urandom(SIZE)
    for number in range(FILES):
        directory = context / f"d{number % DIRECTORIES:03}"
        if number < DIRECTORIES:
            directory.mkdir()
        (directory / f"f{number:05}").write_bytes(number.to_bytes(8, "big") + block[8:])


def changing(scene: Stage, build: Callable[[int], float]) -> Callable[[int], float]:
    """Return a build with one file changed before it."""

    def run(number: int) -> float:
        path = scene.directory / "big/d007/f00007"
        path.write_bytes(f"{build} {number}".encode().ljust(SIZE, b"x"))
        return build(number)

    return run


def cold_pybuild(scene: Stage, run: int, dockerfile: str) -> float:
    """Time a build on a store that has nothing but the base."""
    root = ("--root", str(scene.directory / f"cold-pybuild-{dockerfile}-{run}"))
    scene.pybuild(*root, "load", "-q", "-i", str(scene.directory / "base.tar"))
    return scene.pybuild(*root, "-q", "-f", f"big/{dockerfile}", "-t", "big", "big")


def cold_buildah(scene: Stage, run: int, dockerfile: str) -> float:
    """Time a build on a store that has nothing but the base."""
    name = f"cold-buildah-{dockerfile}-{run}"
    scene.buildah("pull", f"docker-archive:{scene.directory / 'base.tar'}", name=name)
    file = ("-f", f"big/{dockerfile}")
    return scene.buildah("bud", "--layers", "-q", *file, "-t", "big", "big", name=name)


def main() -> None:
    """Print the comparisons."""
    args = options(__doc__ or "", runs=5)
    with stage() as scene:
        fill(scene.directory / "big")

        def ours(_run: int) -> float:
            return scene.pybuild("-q", "-t", "big", "big")

        def theirs(_run: int) -> float:
            return scene.buildah("bud", "--layers", "-q", "-t", "big", "big")

        cases: list[tuple[str, Callable[[int], float], Callable[[int], float], int]] = [
            ("nothing changed", ours, theirs, args.runs),
            ("one changed", changing(scene, ours), changing(scene, theirs), max(1, args.runs // 2)),
        ]
        cases += [
            (
                name,
                lambda run, file=file: cold_pybuild(scene, run, file),  # type: ignore[misc]
                lambda run, file=file: cold_buildah(scene, run, file),  # type: ignore[misc]
                max(1, args.runs // 2),
            )
            for name, file in (("cold", "Dockerfile"), ("cold, steps behind", "Behind"))
        ]
        results = []
        for name, mine, other, runs in cases:
            results.append(measure(f"50,000 files, {name}", mine, other, runs))
            if not args.json:  # the cold one takes minutes: show what there is
                show(results[-1:], peer="buildah", as_json=False)
    if args.json:
        show(results, peer="buildah", as_json=True)


if __name__ == "__main__":
    main()
