"""Timing two commands in turn, and what both need: a base image and a scratch directory.

In: two commands. Out: their wall-clock seconds, pair by pair, and the ratios. The commands are
started with vfork-like `posix_spawn` and timed from outside, interpreter start-up included.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent


class Pairs(NamedTuple):
    """Seconds of ours and theirs, run by run; `peer` is who they are."""

    title: str
    ours: list[float]
    theirs: list[float]
    peer: str = ""

    def ratios(self) -> list[float]:
        """Return ours / theirs, pair by pair."""
        return [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]


def pybuild() -> list[str]:
    """Return the command that is measured: the installed `pybuild` beside this interpreter."""
    script = Path(sys.executable).with_name("pybuild")
    if not script.exists():
        raise SystemExit("no pybuild beside this interpreter: pip install . into its environment")
    return [str(script)]


def timed(command: Sequence[str], environment: dict[str, str], cwd: Path) -> float:
    """Run `command` quietly and return its wall-clock seconds. Raises on a status other than 0."""
    return weighed(command, environment, cwd)[0]


def weighed(command: Sequence[str], environment: dict[str, str], cwd: Path) -> tuple[float, int]:
    """Run `command` as `timed` does; return seconds and bytes of the largest process's peak."""
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.stderr.write(errors.read().decode(errors="replace"))
            raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    return seconds, usage.ru_maxrss << 10


def measure(
    title: str,
    ours: Callable[[int], float],
    theirs: Callable[[int], float],
    runs: int,
    *,
    peer: str = "",
) -> Pairs:
    """Call both with the number of the run (0 is the warm-up, not counted) in turn."""
    ours(0)
    theirs(0)
    pairs = Pairs(title, [], [], peer)
    for run in range(1, runs + 1):
        pairs.ours.append(ours(run))
        pairs.theirs.append(theirs(run))
    return pairs


def show(results: Sequence[Pairs], *, peer: str = "", as_json: bool) -> None:
    """Print the medians and the median ratio of each result; `peer` where a result names none."""
    results = [pairs._replace(peer=pairs.peer or peer) for pairs in results]
    if as_json:
        print(json.dumps([pairs._asdict() for pairs in results]))
        return
    for pairs in results:
        ours, theirs = statistics.median(pairs.ours), statistics.median(pairs.theirs)
        ratio = statistics.median(pairs.ratios())
        share = f" (1/{1 / ratio:.1f})" if ratio < 1 else ""
        print(
            f"{pairs.title}: pybuild {ours * 1000:.0f} ms, {pairs.peer} {theirs * 1000:.0f} ms, "
            f"ratio {ratio:.3f}{share}, {len(pairs.ours)} pairs"
        )


def options(description: str, runs: int) -> argparse.Namespace:
    """Read the command line that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=runs, help="pairs (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


class Stage(NamedTuple):
    """A scratch directory with both builders' stores, and how to call each builder."""

    directory: Path
    environment: dict[str, str]

    def pybuild(self, *arguments: str) -> float:
        """Time `pybuild` with `arguments`."""
        return timed([*pybuild(), *arguments], self.environment, self.directory)

    def buildah(self, *arguments: str, name: str = "buildah") -> float:
        """Time `buildah` with `arguments`, on its own store `name`."""
        store = self.directory / name
        command = ["buildah", "--root", str(store / "root"), "--runroot", str(store / "run")]
        return timed([*command, *arguments], self.environment, self.directory)


@contextmanager
def stage() -> Iterator[Stage]:
    """Yield a `Stage` whose both stores know the image `bench-base`, made of busybox."""
    directory = Path(tempfile.mkdtemp(prefix="pybuild-bench."))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYBUILD_ROOT": str(directory / "pybuild"),
        "BUILDAH_ISOLATION": "chroot",
        "STORAGE_DRIVER": "overlay",
    }
    scene = Stage(directory, environment)
    try:
        scene.pybuild("base", "host", "-t", "bench-base", "busybox")
        archive = directory / "base.tar"
        scene.pybuild("save", "--format", "docker-archive", "-o", str(archive), "bench-base")
        scene.buildah("pull", f"docker-archive:{archive}")
        yield scene
    finally:
        shutil.rmtree(directory, ignore_errors=True)
