"""A Debian base from a registry on loopback, unpacked and ready to run, beside podman.

    python benchmarks/pull_base.py [--runs N] [--json]

Both start with an empty store each time, and none is removed before the end: ext4 makes files
several times slower for seconds after many were removed. The image is made with `pybuild base
debian` and pushed once, compressed with gzip.
"""

from export_push import registry
from pairs import measure, options, show, stage, timed


def main() -> None:
    """Print the comparison."""
    args = options(__doc__ or "", runs=5)
    with stage() as scene, registry(scene.directory) as host:
        name = f"{host}/debian:latest"
        scene.pybuild("base", "debian", "-t", name)
        scene.pybuild("push", "-q", name)

        def ours(run: int) -> float:
            store = scene.directory / f"pull-pybuild-{run}"
            return scene.pybuild("--root", str(store), "pull", "-q", name)

        def theirs(run: int) -> float:
            store = scene.directory / f"pull-podman-{run}"
            places = ["--root", str(store / "root"), "--runroot", str(store / "run")]
            command = ["podman", *places, "pull", "-q", "--tls-verify=false", name]
            return timed(command, scene.environment, scene.directory)

        pairs = measure("pull a Debian base", ours, theirs, args.runs, peer="podman")
    show([pairs], as_json=args.json)


if __name__ == "__main__":
    main()
