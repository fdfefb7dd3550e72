"""A layer of 1 GiB on its way out, beside buildah and skopeo: as an archive and to a registry.

    python benchmarks/export_push.py [--runs N] [--json] [--size MIB]

Two layers: one that compresses (words and numbers, to about a third) and one that does not. Each
is compressed anew in every run; the files and the registry's blobs are gone before the next. The
registry is Debian's docker-registry on loopback, which takes its share of the two processors: how
long it takes for the same bytes sent plainly is the least that any push can take, and is printed
as such. So each push is also made to a registry that only reads (`sink.py`): what the client takes.
Prints the peak of our memory, too.
"""

import argparse
import contextlib
import hashlib
import http.client
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pairs import Pairs, Stage, measure, pybuild, show, stage, timed, weighed
from sink import sink

MIB = 1 << 20
CONFIG = """\
version: 0.1
storage:
  filesystem: {{rootdirectory: "{directory}"}}
http: {{addr: "127.0.0.1:{port}"}}
log: {{level: error}}
"""


def compressible(path: Path, mib: int) -> None:
    """Write `mib` MiB of words and numbers, the same in each call."""
    chance = random.Random(1)
    words = [bytes(chance.choices(range(97, 123), k=chance.randint(2, 12))) for _ in range(4000)]
    with path.open("wb") as file:
        for _ in range(mib):
            text = b" ".join(
                b"%s %d" % (word, chance.getrandbits(20))
                for word in chance.choices(words, k=90_000)
            )
            file.write(text[:MIB].ljust(MIB, b"."))


def incompressible(path: Path, mib: int) -> None:
    """Write `mib` MiB of noise, the same in each call."""
    chance = random.Random(2)
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(chance.randbytes(MIB))


@contextlib.contextmanager
def registry(directory: Path) -> Iterator[str]:
    """Yield host and port of a registry that keeps its blobs in `directory`/data."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = directory / "config.yml"
    config.write_text(CONFIG.format(directory=directory / "data", port=port))
    server = subprocess.Popen(
        ["docker-registry", "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


class Sender:
    """Sends the image `name` of both stores to places that are empty each time."""

    def __init__(self, scene: Stage, name: str, host: str) -> None:
        self._scene = scene
        self._name = name
        self._host = host
        self.peak = 0
        """Bytes: the largest of our processes that was measured."""

    def archive(self, compression: str) -> tuple[Callable[[int], float], Callable[[int], float]]:
        """Return our export into an OCI archive, and buildah's."""
        scene, name = self._scene, self._name

        def ours(_run: int) -> float:
            target = self._afresh()
            output = f"type=oci,dest={target},compression={compression}"
            return self._ours("-q", "-o", output, name)

        def theirs(_run: int) -> float:
            target = self._afresh()
            way = ("push", "-q", "--compression-format", compression)
            return scene.buildah(*way, name, f"oci-archive:{target}:{name}")

        return ours, theirs

    def push(
        self, compression: str, host: str = ""
    ) -> tuple[Callable[[int], float], Callable[[int], float]]:
        """Return our push to the registry (at another `host` if one is named), and buildah's."""
        scene, name = self._scene, self._name
        to = f"{host or self._host}/{name}:latest"

        def ours(_run: int) -> float:
            self._afresh()
            return self._ours("push", "-q", "--compression-format", compression, name, to)

        def theirs(_run: int) -> float:
            self._afresh()
            way = ("push", "-q", "--tls-verify=false", "--compression-format", compression)
            return scene.buildah(*way, name, f"docker://{to}")

        return ours, theirs

    def copy(self) -> tuple[Callable[[int], float], Callable[[int], float]]:
        """Return our push of what is compressed already, and skopeo's copy of an archive."""
        scene, name, to = self._scene, self._name, f"{self._host}/{self._name}:latest"
        archive = scene.directory / "ready.tar"
        scene.pybuild("-q", "-o", f"type=oci,dest={archive},compression=gzip", name)

        def ours(_run: int) -> float:
            self._forget()
            return self._ours("push", "-q", name, to)

        def theirs(_run: int) -> float:
            self._forget()
            source, way = f"oci-archive:{archive}", ("copy", "-q", "--dest-tls-verify=false")
            command = ["skopeo", *way, source, f"docker://{to}"]
            return timed(command, scene.environment, scene.directory)

        return ours, theirs

    def plainly(self, path: Path) -> float:
        """Send a file to the registry and do nothing else; return the seconds."""
        self._forget()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        started = time.perf_counter()
        connection = http.client.HTTPConnection(self._host)
        connection.request("POST", "/v2/plain/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        place = answer.headers["Location"].removeprefix(f"http://{self._host}")
        with path.open("rb") as file:
            size = {"Content-Length": str(path.stat().st_size)}
            connection.request("PUT", f"{place}&digest=sha256:{digest}", file, size)
            answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.CREATED:
            raise SystemExit(f"the registry says {answer.status} {answer.reason}")
        return time.perf_counter() - started

    def _ours(self, *arguments: str) -> float:
        command = [*pybuild(), *arguments]
        seconds, peak = weighed(command, self._scene.environment, self._scene.directory)
        self.peak = max(self.peak, peak)
        return seconds

    def _afresh(self) -> Path:
        """Forget what was compressed and sent; return where an archive may go."""
        self._forget()
        target = self._scene.directory / "out.tar"
        target.unlink(missing_ok=True)
        self._scene.pybuild("prune", "--all", "--force", "--filter", "type=blob")
        os.sync()
        return target

    def _forget(self) -> None:
        """Empty the registry."""
        shutil.rmtree(self._scene.directory / "data", ignore_errors=True)


def main() -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="pairs (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--size", type=int, default=1024, help="of a layer, in MiB")
    args = parser.parse_args()
    results: list[Pairs] = []
    peak, plain = 0, 0.0
    with stage() as scene, registry(scene.directory) as host, sink() as reader:
        for name, fill in (("compressible", compressible), ("incompressible", incompressible)):
            context = scene.directory / name
            context.mkdir()
            (context / "Dockerfile").write_text("FROM scratch\nCOPY data /data\n")
            fill(context / "data", args.size)
            scene.pybuild("-q", "-t", name, name)
            scene.buildah("bud", "--layers", "-q", "-t", name, name)
            sender = Sender(scene, name, host)
            cases = [
                ("export, gzip", "buildah", sender.archive("gzip")),
                ("export, zstd", "buildah", sender.archive("zstd")),
                ("push, gzip", "buildah", sender.push("gzip")),
                ("push, zstd", "buildah", sender.push("zstd")),
                ("push to a reader, gzip", "buildah", sender.push("gzip", reader)),
                ("push to a reader, zstd", "buildah", sender.push("zstd", reader)),
                ("push of what is compressed", "skopeo", sender.copy()),
            ]
            for case, peer, (ours, theirs) in cases:
                title = f"{name} {args.size} MiB, {case}"
                results.append(measure(title, ours, theirs, args.runs, peer=peer))
            peak = max(peak, sender.peak)
            plain = min(sender.plainly(context / "data") for _ in range(args.runs))
    show(results, as_json=args.json)
    if not args.json:
        print(f"the registry alone, for a layer that does not compress: {plain * 1000:.0f} ms")
        print(f"peak memory of pybuild in all of these: {peak / MIB:.0f} MiB")


if __name__ == "__main__":
    main()
