"""The bridge that root's sandboxes share: interface, address pool, NAT.

In: a network namespace. Out: an address in it, and the way out. Processes share the bridge
through locked files in /run (`pool.py`). The last user takes the bridge and its rules away.
Source: nft(8), iptables(8); the behaviour of the container engines.
"""

from __future__ import annotations

import errno
import fcntl
import os

from runtime.errors import SandboxError, UnsupportedError
from runtime.netlink import Netlink
from runtime.pool import Pool
from runtime.values import NamedTuple

NAME = "pybuild0"
PREFIX = 24
STATE = "/run/pybuild/network"
"""Of the bridge of the machine's root."""

_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin")
_RULES = """\
table ip pybuild {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {network} oifname != "{name}" masquerade
  }}
}}
"""


class Attached(NamedTuple):
    """A place on a bridge; `locks` are open as long as it is held, `directory` is the pool's."""

    address: str
    gateway: str
    mtu: int
    locks: tuple[int, ...]
    directory: str = STATE


def attach(namespace: int, wanted: str = "") -> Attached:
    """Connect a namespace by an interface `eth0`, which is still without an address.

    `wanted`: the address it shall have. Raises OSError or SandboxError where this cannot be done.
    """
    pool = Pool(STATE)
    locks: list[int] = []
    with pool.locked():
        try:
            with Netlink() as netlink:
                network, mtu = _ensure(netlink)
            locks.append(pool.lock("users", fcntl.LOCK_SH))
            address, lock = pool.take(network, wanted)
            locks.append(lock)
            add_pair(namespace, mtu)
        except (OSError, SandboxError):
            for fd in locks:
                os.close(fd)
            _remove_if_unused(pool)
            raise
    return Attached(address, f"{network}.1", mtu, tuple(locks))


def add_pair(namespace: int, mtu: int) -> None:
    """Connect a namespace to the bridge of the calling thread's network."""
    name = f"pyb{os.urandom(6).hex()[:11]}"
    with Netlink() as netlink:
        netlink.add_pair(name, "eth0", namespace, NAME, mtu)


def detach(attached: Attached) -> None:
    """Give the place back; its interfaces went with the namespace, or go soon."""
    pool = Pool(attached.directory)
    with pool.locked():
        for fd in attached.locks:
            os.close(fd)
        if attached.directory == STATE:
            _remove_if_unused(pool)


def _ensure(netlink: Netlink) -> tuple[str, int]:
    """Make the bridge if there is none; return the start of its addresses, and the MTU."""
    path = f"{STATE}/subnet"
    mtu = _uplink_mtu()
    if os.path.exists(f"/sys/class/net/{NAME}") and os.path.exists(path):
        with open(path, encoding="ascii") as file:
            return file.read().strip(), mtu
    network = _free_network(_read("/proc/net/route"))
    try:
        netlink.add_bridge(NAME, mtu)
    except FileExistsError:
        netlink.remove(NAME)
        netlink.add_bridge(NAME, mtu)
    try:
        netlink.add_address(NAME, f"{network}.1", PREFIX)
        netlink.set_up(NAME)
        masquerade(f"{network}.0/{PREFIX}")
    except (OSError, UnsupportedError):
        netlink.remove(NAME)
        raise
    with open(path, "w", encoding="ascii") as file:
        file.write(network)
    return network, mtu


def _free_network(routes: str) -> str:
    """Return the first three numbers of a network that no route of the host covers.

    `routes` is the text of /proc/net/route: addresses are little-endian hexadecimal.
    """
    taken: list[tuple[int, int]] = []
    for line in routes.splitlines()[1:]:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            taken.append((destination, mask))
    for third in range(256):
        wanted = 10 << 24 | 87 << 16 | third << 8
        if all((wanted ^ other) & mask & 0xFFFFFF00 for other, mask in taken):
            return f"10.87.{third}"
    raise UnsupportedError("a bridge", "all networks 10.87.0.0/16 are in use")


def _uplink_mtu() -> int:
    """Return what fits through the interface of the default route."""
    for line in _read("/proc/net/route").splitlines()[1:]:
        fields = line.split()
        if fields[1] == fields[7] == "00000000":
            return int(_read(f"/sys/class/net/{fields[0]}/mtu") or 1500)
    return 1500


def masquerade(network: str) -> None:
    """Let what comes from `network` out under the host's address."""
    with open("/proc/sys/net/ipv4/ip_forward", "r+", encoding="ascii") as file:
        if file.read().strip() != "1":
            file.seek(0)
            file.write("1")
    if program("nft"):
        _run("nft", ("-f", "-"), _RULES.format(network=network, name=NAME))
    elif program("iptables"):
        _run("iptables", _iptables("-A", network))
    else:
        raise UnsupportedError(
            "a way out of the bridge",
            "neither nft nor iptables is installed",
            hint="install nftables, or use --network=host",
        )
    if os.path.exists("/sys/class/net/docker0") and program("iptables"):
        # Docker lets nothing pass that it does not know.
        for rule in _pass_rules():
            _run("iptables", ("-w", "-I", *rule))


def _iptables(verb: str, network: str) -> tuple[str, ...]:
    chain = ("-w", "-t", "nat", verb, "POSTROUTING")
    return (*chain, "-s", network, "!", "-o", NAME, "-j", "MASQUERADE")


def _pass_rules() -> tuple[tuple[str, ...], ...]:
    return (
        ("FORWARD", "-i", NAME, "-j", "ACCEPT"),
        ("FORWARD", "-o", NAME, "-j", "ACCEPT"),
    )


def _remove_if_unused(pool: Pool) -> None:
    """Take bridge and rules away if nobody else uses them; `setup` must be held."""
    try:
        users = pool.lock("users", fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    try:
        network = _read(f"{STATE}/subnet").strip()
        with Netlink() as netlink:
            netlink.remove(NAME)
        if program("nft"):
            _run("nft", ("delete", "table", "ip", "pybuild"))
        elif program("iptables"):
            _run("iptables", _iptables("-D", f"{network}.0/{PREFIX}"))
        if os.path.exists("/sys/class/net/docker0") and program("iptables"):
            for rule in _pass_rules():
                _run("iptables", ("-w", "-D", *rule))
    except OSError:
        # It never came into being, or somebody else has removed it.
        pass
    finally:
        os.close(users)


def program(name: str) -> str | None:
    """Return where a program of the administrator is."""
    for directory in _DIRECTORIES:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None


def _run(name: str, arguments: tuple[str, ...], text: str = "") -> None:
    """Run a program of the machine with `text` as input. Raises OSError if it fails."""
    path = program(name) or name
    given = os.memfd_create("rules", os.MFD_CLOEXEC)
    said = os.memfd_create("said", os.MFD_CLOEXEC)
    try:
        os.write(given, text.encode())
        os.lseek(given, 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((given, 0), (said, 1), (said, 2))]
        pid = os.posix_spawn(path, [name, *arguments], {}, file_actions=actions)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            message = os.pread(said, 500, 0).decode(errors="replace").strip()
            raise OSError(errno.EIO, message.partition("\n")[0], name)
    finally:
        os.close(given)
        os.close(said)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
