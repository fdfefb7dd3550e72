"""From RUN to a sandbox."""

import threading

import pytest

from buildkit.llb.op import ExecOp
from buildkit.ops.execute import Setting, sandbox_of
from buildkit.ops.grants import Grants
from buildkit.ops.mounts import Mounted
from buildkit.ops.origins import Origins
from buildkit.ops.sandboxes import Sandboxes
from buildkit.ops.stores import Stores
from buildkit.snapshot.snapshot import Active
from runtime.spec import SHM_SIZE, File, Resources, Rlimit, RootFs, SandboxSpec, Tmpfs
from tests.buildkit.ops.stock import Directories, run

NOTHING = Mounted((), (), "")


@pytest.fixture
def setting(stores: Stores, contexts: Directories) -> Setting:
    return Setting(
        root=stores.root,
        active=Active(None, "/t", "/t/upper", "/t/work"),
        lowers=("/l/2", "/l/1"),
        grants=Grants({}),
        origins=Origins(stores.root, stores.snapshots, contexts, ()),
        sandboxes=Sandboxes(),
        looking=threading.RLock(),
    )


def env(spec: SandboxSpec) -> dict[str, str]:
    assert list(spec.process.env) == sorted(spec.process.env)
    return dict(spec.process.env)


def test_a_step_has_a_root_a_program_and_a_place(setting: Setting) -> None:
    op = run("/bin/sh", "-c", "x", cwd="/w", user="app", extra_hosts=(("h", "10.0.0.1"),))
    spec = sandbox_of(op, setting, NOTHING)
    assert spec.root == RootFs(("/l/2", "/l/1"), "/t/upper", "/t/work")
    assert spec.process.args == ("/bin/sh", "-c", "x")
    assert (spec.process.cwd, spec.process.user) == ("/w", "app")
    assert (spec.hostname, spec.network, spec.security) == ("build", "none", "sandbox")
    assert spec.extra_hosts == (("h", "10.0.0.1"),)


def test_the_last_of_equal_variables_counts_and_their_order_does_not(setting: Setting) -> None:
    op = run("x", env=(("B", "1"), ("A", "1"), ("B", "2")), proxy=(("http_proxy", "p"),))
    spec = sandbox_of(op, setting, Mounted((), (("A", "secret"),), ""))
    assert env(spec) == {"A": "secret", "B": "2", "http_proxy": "p"}


@pytest.mark.parametrize(("own", "agent"), [((), "/agent"), ((("SSH_AUTH_SOCK", "/own"),), "/own")])
def test_an_agent_is_told_of_unless_the_dockerfile_knows_better(
    setting: Setting, own: tuple[tuple[str, str], ...], agent: str
) -> None:
    spec = sandbox_of(run("x", env=own), setting, Mounted((), (), "/agent"))
    assert env(spec)["SSH_AUTH_SOCK"] == agent


def test_a_script_is_a_mounted_file(setting: Setting) -> None:
    mount = Tmpfs("/m")
    op = run("/dev/pipes/script", script="#!/bin/x\n\udcff")
    spec = sandbox_of(op, setting, Mounted((mount,), (), ""))
    script = File("/dev/pipes/script", b"#!/bin/x\n\xff", mode=0o755, readonly=True)
    assert spec.mounts == (mount, script)


@pytest.mark.parametrize(
    ("op", "shm"), [(run("x"), SHM_SIZE), (run("x", shm_size=1 << 20), 1 << 20)]
)
def test_shared_memory_has_its_usual_size_unless_told(
    setting: Setting, op: ExecOp, shm: int
) -> None:
    assert sandbox_of(op, setting, NOTHING).shm_size == shm


def test_limits_come_from_the_command_line(setting: Setting) -> None:
    limits = Resources(memory=1 << 20)
    granted = setting._replace(grants=Grants({}, resources=limits))
    op = run("x", ulimits=("nofile=1:2",))
    assert sandbox_of(op, granted, NOTHING).resources == limits
    assert sandbox_of(op, granted, NOTHING).process.rlimits == (Rlimit("nofile", 1, 2),)
    assert sandbox_of(op, setting, NOTHING).resources == Resources()
