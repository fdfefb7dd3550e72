"""Runs sandboxes for tests, as whoever it was started; a program of its own.

In: requests on stdin, each a length and a marshalled value: `(name, arguments)`, where name is
one of the functions below. Out: answers likewise on stdout. Standard library and `runtime` only,
since the Python of an ordinary user may have nothing else.
"""

import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from runtime import network, rootless, spec, wire
from runtime.errors import SandboxError
from runtime.sandbox import Zygote
from runtime.spec import ExitStatus, Process, RootFs, SandboxSpec

TYPES = wire.named(
    *(kind for kind in vars(spec).values() if isinstance(kind, type) and issubclass(kind, tuple))
)
_APPLETS = """
    cat chmod chown cp cut dd echo env false find grep head hostname id ip kill ls mkdir mknod
    mount mv nc ps pwd readlink rm seq sh sleep sort stat stty tail test touch tr true tty umount
    uname unshare vi wc
"""


class Driver:
    """What the requests work on."""

    def __init__(self) -> None:
        rootless.enter()
        self.base = tempfile.mkdtemp(prefix="pybuild-test-")
        self.zygote = Zygote.start()
        self.made = 0

    def new(self) -> str:
        """Return a new directory."""
        self.made += 1
        path = f"{self.base}/{self.made}"
        os.mkdir(path)
        return path

    def root(self, busybox: str) -> str:
        """Return a root with busybox and the directories an image has."""
        path = self.new()
        for name in ("bin", "dev", "etc", "home", "proc", "sys", "tmp", "usr"):
            os.mkdir(f"{path}/{name}")
        os.chmod(f"{path}/tmp", 0o1777)
        shutil.copy(busybox, f"{path}/bin/busybox")
        for name in _APPLETS.split():
            os.symlink("busybox", f"{path}/bin/{name}")
        files = {
            "passwd": "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n",
            "group": "root:x:0:\nbob:x:1000:\nstaff:x:50:bob\n",
            "hosts": "",
            "hostname": "",
            "resolv.conf": "",
        }
        for name, text in files.items():
            self.write(f"{path}/etc/{name}", text)
        return path

    def layers(self, wanted: int) -> tuple[str, ...]:
        """Return layers, each with a file of its own in a directory, and one in common."""
        made = []
        for number in range(wanted):
            path = self.new()
            self.write(f"{path}/many/{number}", "")
            self.write(f"{path}/many/own", str(number))
            made.append(path)
        return tuple(made)

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, path: str) -> str:
        """Return the content of a file."""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def remove(self, path: str) -> None:
        """Remove a file."""
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        """Make a directory."""
        os.mkdir(path)

    def chmod(self, path: str, mode: int) -> None:
        """Set the mode of a file."""
        os.chmod(path, mode)

    def size(self, path: str) -> int:
        """Return the size of a file."""
        return os.stat(path).st_size

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, path)

    def utime(self, path: str, seconds: int) -> None:
        """Set the times of a file."""
        os.utime(path, (seconds, seconds))

    def mtime(self, path: str) -> int:
        """Return the modification time of a file, in seconds."""
        return int(os.lstat(path).st_mtime)

    def listing(self, path: str) -> tuple[str, ...]:
        """Return all paths below `path`, sorted."""
        found: list[str] = []
        for directory, directories, files in os.walk(path):
            found += [os.path.relpath(f"{directory}/{name}", path) for name in directories + files]
        return tuple(sorted(found))

    def run(
        self, wanted: SandboxSpec, timeout: float | None, text: str | None
    ) -> tuple[ExitStatus, str]:
        """Run a sandbox; return its status and what it wrote."""
        output = os.memfd_create("output")
        given = None
        if text is not None:
            given = os.memfd_create("input")
            os.write(given, text.encode())
            os.lseek(given, 0, os.SEEK_SET)
        try:
            status = self.zygote.run(wanted, stdin=given, stdout=output, timeout=timeout)
            os.lseek(output, 0, os.SEEK_SET)
            with open(os.dup(output), encoding="utf-8", errors="backslashreplace") as file:
                return status, file.read()
        finally:
            os.close(output)
            if given is not None:
                os.close(given)

    def outbound(self, root: str, script: str) -> tuple[int, str]:
        """Run a script on a network with a way out; return its exit status and output."""
        made = network.create()
        try:
            wanted = SandboxSpec(
                root=RootFs((root,)),
                process=Process(("sh", "-c", script), env=(("PATH", "/bin"),)),
            )
            status, output = self.run(made.joined(wanted), 60, None)
            return status.code, output
        finally:
            made.close()

    def close(self) -> None:
        """End the zygote, and remove everything."""
        self.zygote.close()
        shutil.rmtree(self.base)


def main() -> None:
    """Answer requests until there are no more."""
    driver = Driver()
    try:
        while (header := sys.stdin.buffer.read(4)) and len(header) == 4:
            name, arguments = wire.loads(
                sys.stdin.buffer.read(struct.unpack("I", header)[0]), TYPES
            )
            answer = wire.dumps(_answer(getattr(driver, name), arguments))
            sys.stdout.buffer.write(struct.pack("I", len(answer)) + answer)
            sys.stdout.buffer.flush()
    finally:
        driver.close()


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        return ("value", function(*arguments))
    except SandboxError as error:
        return ("error", type(error).__name__, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - all of it goes to the test
        return ("error", "Exception", repr(error), "")


if __name__ == "__main__":
    main()
