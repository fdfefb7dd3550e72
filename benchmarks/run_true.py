"""What `run IMAGE true` takes, beside podman: the whole command, start-up and clean-up included.

    python benchmarks/run_true.py [--runs N] [--json]

Also beside crun on an unpacked copy of the same image, which leaves out all that an engine does,
and beside nothing but the interpreter, `python3 -S -c ''`, which no Python program can beat.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pairs import Pairs, Stage, measure, options, show, stage, timed


def podman(scene: Stage, *arguments: str) -> float:
    """Time `podman` with `arguments`, on a store of its own."""
    store = scene.directory / "podman"
    places = ["--root", str(store / "root"), "--runroot", str(store / "run")]
    manner = ["--cgroup-manager", "cgroupfs", "--events-backend", "none"]
    return timed(["podman", *places, *manner, *arguments], scene.environment, scene.directory)


def bundle(scene: Stage) -> Path:
    """Unpack `bench-base` as what crun runs, with a network namespace of its own."""
    top = scene.directory / "bundle"
    (top / "rootfs").mkdir(parents=True)
    scene.pybuild("run", "--name", "unpacked", "--network", "none", "bench-base", "true")
    tar = scene.directory / "rootfs.tar"
    scene.pybuild("export", "-o", str(tar), "unpacked")
    scene.pybuild("rm", "unpacked")
    subprocess.run(["tar", "-xf", tar, "-C", top / "rootfs"], check=True)
    subprocess.run(["crun", "spec"], cwd=top, check=True)
    config = json.loads((top / "config.json").read_text())
    config["process"] |= {"args": ["true"], "terminal": False}
    (top / "config.json").write_text(json.dumps(config))
    return top


def beside_crun(scene: Stage, runs: int) -> Pairs:
    """Compare with crun, which makes the container and nothing else."""
    top, numbers = bundle(scene), itertools.count()
    crun = ["crun", "--root", str(scene.directory / "crun"), "--cgroup-manager", "disabled"]
    return measure(
        "run true, network none",
        lambda _: scene.pybuild("run", "--rm", "--network", "none", "bench-base", "true"),
        lambda _: timed([*crun, "run", f"bench{next(numbers)}"], scene.environment, top),
        runs,
        peer="crun",
    )


def only_unified_groups() -> None:
    """Start over in a mount namespace without control groups of version 1, which crun refuses."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists() or "BENCH_UNIFIED" in os.environ:
        return
    script = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    os.environ["BENCH_UNIFIED"] = "1"
    os.execvp("unshare", ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, *sys.argv])


def main() -> None:
    """Print the comparison."""
    only_unified_groups()
    args = options(__doc__ or "", runs=10)
    # What podman wants by default is more than a root without CAP_SYS_RESOURCE may give.
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    with stage() as scene:
        archive = scene.directory / "base.tar"
        podman(scene, "load", "-q", "-i", str(archive))
        results: list[Pairs] = []
        for network in ("none", "default"):
            theirs = ["--network", "none"] if network == "none" else []
            ours = ["--network", network]
            results.append(
                measure(
                    f"run true, network {network}",
                    lambda _, ours=ours: scene.pybuild("run", "--rm", *ours, "bench-base", "true"),
                    lambda _, theirs=theirs: podman(
                        scene,
                        "run",
                        "--rm",
                        "--cgroups=disabled",
                        *limits,
                        *theirs,
                        "bench-base",
                        "true",
                    ),
                    args.runs,
                )
            )
        show(results, peer="podman", as_json=args.json)
        if shutil.which("crun"):
            show([beside_crun(scene, args.runs)], as_json=args.json)
        bare = [sys.executable, "-S", "-c", ""]
        alone = measure(
            "run true, network none",
            lambda _: scene.pybuild("run", "--rm", "--network", "none", "bench-base", "true"),
            lambda _: timed(bare, scene.environment, scene.directory),
            args.runs,
        )
        show([alone], peer="python3 -S", as_json=args.json)


if __name__ == "__main__":
    main()
