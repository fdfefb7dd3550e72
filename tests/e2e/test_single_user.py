"""An ordinary user with no subordinate ids: what works, and what is said of the rest."""

import pytest

from tests.callers import Caller
from tests.e2e.cases import FOLDER, read_cases, told
from tests.e2e.test_contexts import base_of, built
from tests.leftovers import nothing_left

OWN_FILES = ("config", "copy-forms", "copy-parents", "hardlinks", "onbuild", "shells", "whiteouts")
"""Cases of fixtures/contexts in which everything belongs to root."""

CASES = {case.name: case for case in read_cases(FOLDER)}
MORE_IDS = "hint: give the caller more subordinate ids in /etc/subuid and /etc/subgid"

REFUSED = {
    "a command as somebody else": (
        "USER daemon\nRUN id",
        "cannot become user 1 with groups 1: the ids are not mapped into the user namespace",
        MORE_IDS,
    ),
    "a directory of somebody else": (
        "USER 5\nWORKDIR /five",
        "cannot write /five: invalid argument",
        "hint: an owner may lie outside of the ids in /etc/subuid and /etc/subgid",
    ),
    "a copy for somebody else": (
        "COPY --chown=1:1 Dockerfile /",
        "cannot write /: invalid argument",
        "hint: an owner may lie outside of the ids in /etc/subuid and /etc/subgid",
    ),
    "chown": ("RUN chown 1:1 /etc", "chown: /etc: Invalid argument", ""),
}


@pytest.mark.parametrize("name", OWN_FILES)
def test_what_belongs_to_root_alone_is_built_as_ever(as_single: Caller, name: str) -> None:
    with nothing_left(as_single.pybuild):
        image = built(as_single, CASES[name])
    assert told(image, base_of(as_single)) == CASES[name].expected


@pytest.mark.parametrize("case", REFUSED)
def test_other_owners_are_refused_with_a_hint(as_single: Caller, case: str) -> None:
    lines, message, hint = REFUSED[case]
    with nothing_left(as_single.pybuild):
        done = as_single.pybuild.build(as_single.context(f"FROM busybox\n{lines}\n"))
    assert done.status == 1
    assert message in done.errors
    assert hint in done.errors


def test_a_container_runs(as_single: Caller) -> None:
    with nothing_left(as_single.pybuild):
        done = as_single.pybuild.run("busybox", "sh", "-c", "id -u; echo x > /new && cat /new")
    assert (done.status, done.output) == (0, "0\nx\n")


def test_a_container_for_somebody_else_is_refused(as_single: Caller) -> None:
    done = as_single.pybuild.run("busybox", "true", options=["-u", "1"])
    assert done.status == 125
    assert MORE_IDS in done.errors


def test_an_image_with_files_of_others_is_refused_as_a_whole(
    as_single: Caller, as_root: Caller
) -> None:
    foreign = as_root.context("FROM busybox\nRUN touch /one && chown 1:1 /one\n")
    as_root.pybuild.build(foreign, name="foreign").ok()
    archive = as_root.place("saved") / "foreign.tar"
    as_root.pybuild("save", "-o", archive, "foreign").ok()

    with nothing_left(as_single.pybuild):
        done = as_single.pybuild("load", stdin=archive.read_bytes())

    assert done.status == 1
    assert "'one' belongs to 1:1, which this user namespace does not have" in done.errors
    assert "foreign" not in as_single.pybuild("images").output
