"""What becomes of a cache that several builds write to."""

import pytest

from buildkit.remotecache import merge as module
from buildkit.remotecache.merge import KEPT_DAYS, Own, merge
from tests.buildkit.remotecache.samples import TODAY, described, loaded, mount, own, step


def names(content: Own, there: Own | None, *, reset: bool = False) -> list[str] | None:
    """Return the documents of what is to be there, None for what is there."""
    found = merge(content, None if there is None else loaded(there), TODAY, reset=reset)
    if found is None:
        return None
    assert set(found.layers) == set(found.document.layers)
    return sorted(one.document.split('"')[-2] for one in found.document.steps)


def test_the_first_writer_writes_what_it_has() -> None:
    assert names(own("a", "b"), None) == ["a", "b"]


def test_what_others_wrote_stays() -> None:
    assert names(own("a"), own("b", "c")) == ["a", "b", "c"]


def test_what_is_there_already_is_left_alone() -> None:
    assert names(own("a"), own("a", "b")) is None


def test_use_is_noted_once_a_day() -> None:
    there = loaded(own("a", "b", used="2026-04-30"))
    found = merge(own("a"), there, TODAY)
    assert found is not None
    assert sorted(one.used for one in found.document.steps) == ["2026-04-30", TODAY]


def test_reset_drops_what_others_wrote() -> None:
    assert names(own("a"), own("b"), reset=True) == ["a"]


@pytest.mark.parametrize(
    ("used", "stays"), [("2026-04-01", True), ("2026-03-31", False), ("", False)]
)
def test_what_nobody_used_for_long_goes(used: str, stays: bool) -> None:
    assert KEPT_DAYS == 30
    assert names(own("a"), own("b", used=used)) == (["a", "b"] if stays else ["a"])


def test_a_step_whose_blob_is_gone_goes() -> None:
    there = own("b", "c")._replace(layers={step("c").diff_id: described("c")})
    assert names(own("a"), there) == ["a", "c"]


def test_two_results_of_one_step_both_stay() -> None:
    """What was built on either of them can still be found."""
    mine = own("a")
    other = Own((step("a", "other"),), (), {step("a", "other").diff_id: described("other")})
    found = merge(mine, loaded(other), TODAY)
    assert found is not None
    assert {one.diff_id for one in found.document.steps} == {
        step("a").diff_id,
        step("a", "other").diff_id,
    }


def test_of_a_mount_the_newest_content_counts() -> None:
    mine = Own((), (mount("deps", "new"),), {mount("deps", "new").diff_id: described("new")})
    there = Own(
        (),
        (mount("deps", "old"), mount("else")),
        {
            mount("deps", "old").diff_id: described("old"),
            mount("else").diff_id: described("else"),
        },
    )
    found = merge(mine, loaded(there), TODAY)
    assert found is not None
    assert found.document.mounts == (mount("deps", "new"), mount("else"))


def test_there_is_room_for_so_many_layers_and_the_last_used_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_LAYERS", 3)
    old, new = own("b", used="2026-04-20"), own("c", "d", used="2026-04-25")
    there = Own((*old.steps, *new.steps), (), {**old.layers, **new.layers})
    assert names(own("a"), there) == ["a", "c", "d"]


def test_there_is_room_for_so_many_key_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DOCUMENTS", 100)
    found = names(own("a"), own("b", "c", "d", "e"))
    assert found is not None
    assert len(found) == 2
