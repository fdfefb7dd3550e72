from buildkit.cache.key import cache_key, key_document
from buildkit.cache.store import CachedStep
from buildkit.oci.digest import Digest
from buildkit.records.record import StepRecord
from buildkit.solver.compare import compare
from buildkit.solver.difference import Difference
from tests.buildkit.records.samples import build, step
from tests.buildkit.solver.fakes import CREATED, MemoryCache, execute


def made(cache: MemoryCache, number: int, command: str, parent: str) -> StepRecord:
    document = key_document(execute(command), [parent])
    key = cache_key(document)
    cache.steps[key] = CachedStep(key, document, "", Digest.of(b""), None, CREATED)
    return step(number, command, key=key)


def test_steps_are_compared_with_what_they_were_before() -> None:
    cache = MemoryCache()
    old = build("a", made(cache, 1, "same", "x"), made(cache, 2, "make", "y"))
    new = build(
        *("bb", made(cache, 1, "same", "x"), made(cache, 2, "make", "z")),
        step(3, "new"),
        step(0, "hidden"),
    )
    same, other, fresh = compare(new, [old], cache)
    assert same.same
    assert not same.differences
    assert other.differences == (Difference("inputs[0]", "y", "z"),)
    assert not other.same
    assert fresh.earlier is None


def test_a_document_that_is_gone_is_told() -> None:
    cache = MemoryCache()
    old, new = build("a", step(1, "make", key="a" * 64)), build("bb", step(1, "make"))
    (found,) = compare(new, [old], cache)
    assert not found.known


def test_a_step_that_failed_brings_its_own_document() -> None:
    document = key_document(execute("make"), ["x"])
    failed = step(1, "make", key=cache_key(document), document=document, outcome="failed")
    cache = MemoryCache()
    (found,) = compare(build("bb", made(cache, 1, "make", "y")), [build("a", failed)], cache)
    assert found.differences == (Difference("inputs[0]", "x", "y"),)
