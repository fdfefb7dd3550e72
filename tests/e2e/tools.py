"""Other people's container tools, each on a store of its own."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest


def needs_tool(name: str) -> pytest.MarkDecorator:
    """Mark a test that needs the program `name`."""
    must_have = os.environ.get("PYBUILD_MUST_HAVE", "").split(",")
    missing = shutil.which(name) is None and name not in must_have
    return pytest.mark.skipif(missing, reason=f"this machine has no {name}")


class Tools:
    """podman, buildah, skopeo and umoci, with their state below one directory."""

    def __init__(self, top: Path, driver: str = "vfs") -> None:
        self._top = top
        self._driver = driver
        # podman takes a run root of at most 50 characters.
        self._run = tempfile.mkdtemp(prefix="pbt")
        self._storage = ("--root", f"{top}/storage", "--runroot", self._run)
        top.mkdir()

    def podman(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        """Call podman."""
        return self._call(
            "podman", *self._storage, "--storage-driver", self._driver, *arguments, stdin=stdin
        )

    def podman_run(self, image: str) -> str:
        """Run a container of an image; return what it printed.

        podman's crun refuses machines that have both kinds of control groups, and limits that
        cannot be raised.
        """
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
        aside = 'umount /sys/fs/cgroup/unified 2> /dev/null; exec "$@"'
        return self._call(
            *("unshare", "-m", "sh", "-c", aside, "sh", "podman", *self._storage),
            *("--storage-driver", self._driver, "--cgroup-manager", "cgroupfs", "run", "--rm"),
            *("--cgroups=disabled", "--network", "none", *limits, image),
        )

    def buildah(self, *arguments: str | Path) -> str:
        """Call buildah."""
        return self._call("buildah", *self._storage, "--storage-driver", self._driver, *arguments)

    def skopeo(self, *arguments: str | Path) -> str:
        """Call skopeo."""
        return self._call("skopeo", *arguments)

    def umoci(self, *arguments: str | Path) -> str:
        """Call umoci."""
        return self._call("umoci", *arguments)

    def inspect(self, reference: str) -> Any:
        """Return what skopeo tells of an image."""
        return json.loads(self.skopeo("inspect", reference))

    def config(self, reference: str) -> Any:
        """Return an image's config as skopeo reads it."""
        return json.loads(self.skopeo("inspect", "--config", reference))

    def close(self) -> None:
        """Give back what the tools have mounted."""
        if (self._top / "storage").exists():
            self.buildah("rm", "--all")
        shutil.rmtree(self._run)

    def _call(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        done = subprocess.run(
            list(map(str, arguments)), input=stdin, capture_output=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stderr.decode()}"
        return done.stdout.decode()
