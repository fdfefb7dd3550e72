"""Records of builds and of their steps, as values; and their JSON.

Every build leaves one, also a fully cached, a failed or a cancelled one (decision 2 of
ARCHITECTURE.md). In: what the solver saw. Out: `encode` and `decode`, the latter for rows of a
database that may be damaged. `explain`, `plan`, `history`, `shell` read these and derive nothing.
"""

from __future__ import annotations

import json
import os
import time

from buildkit.cache.result import Usage
from buildkit.oci.digest import sha256_of
from runtime.typed import Literal, get_args
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias


StepOutcome: TypeAlias = Literal["cached", "run", "failed", "cancelled", "unreached"]
BuildOutcome: TypeAlias = Literal["done", "failed", "cancelled"]

FORMAT = 1
_STEP_OUTCOMES = frozenset(get_args(StepOutcome))
_BUILD_OUTCOMES = frozenset(get_args(BuildOutcome))


class StepRecord(NamedTuple):
    """One step of one build.

    `number`, `name`, `stage` as in `Vertex`; `kind` is the type in its key document. `key` and
    `diff_id` are empty when it did not come so far. `why`: the reasons of a miss. `started` counts
    seconds since the epoch (0: never), `seconds` what this build spent on it, `cost` what running
    it takes (this time, or when its cached result was made). `log`: its file below `logs/`.
    `document`: the key document where the cache does not keep it (no result, or no need of one).
    `lines`: first and last line of the instruction, empty for none. `inputs`: in the order of
    `Vertex.inputs`, the position of a step in `BuildRecord.steps`, `context NAME`, or empty for
    the empty file system; so what a step was made from can be put together again.
    """

    number: int
    name: str
    stage: str
    kind: str
    outcome: StepOutcome
    key: str = ""
    diff_id: str = ""
    why: tuple[str, ...] = ()
    started: float = 0.0
    seconds: float = 0.0
    cost: float = 0.0
    usage: Usage = Usage()
    log: str = ""
    note: str = ""
    message: str = ""
    document: str = ""
    lines: tuple[int, ...] = ()
    inputs: tuple[int | str, ...] = ()


class BuildRecord(NamedTuple):
    """One build. `identity` (`build_identity`) is what it shares with a rebuild of the same thing.

    `image`: config digest of what came out, empty if nothing. `message`: what went wrong.
    `contexts`: directories of named contexts, by name.
    """

    id: str
    identity: str
    dockerfile: str
    context: str
    target: str
    platform: str
    started: float
    ended: float
    outcome: BuildOutcome
    image: str = ""
    message: str = ""
    steps: tuple[StepRecord, ...] = ()
    contexts: tuple[tuple[str, str], ...] = ()


def new_build_id() -> str:
    """Return a name for a build that begins now; names sort by time."""
    return f"{int(time.time() * 1000):011x}{os.urandom(4).hex()}"


def build_identity(dockerfile: str, context: str, target: str, platform: str) -> str:
    """Return what makes two builds the same thing built again, in hex.

    Build arguments are not in it: a build with another one is told as `ARG X 1 -> 2`.
    """
    text = json.dumps([dockerfile, context, target, platform])
    return sha256_of(text.encode()).hexdigest()[:32]


def encode(record: BuildRecord) -> str:
    """Return the JSON of `record`."""
    fields = record._asdict()
    fields["format"] = FORMAT
    fields["steps"] = [_without_defaults(step) for step in record.steps]
    return json.dumps(fields, separators=(",", ":"))


def decode(text: object) -> BuildRecord | None:
    """Return the record in `text`, or None where it is damaged or of another format."""
    try:
        fields = json.loads(text) if isinstance(text, str) else None
        if not isinstance(fields, dict) or fields.pop("format") != FORMAT:
            return None
        steps = tuple(_step(one) for one in fields.pop("steps"))
        fields["contexts"] = tuple((str(a), str(b)) for a, b in fields.get("contexts", ()))
        record = BuildRecord(**fields, steps=steps)
        return record if _is_sound(record) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _without_defaults(step: StepRecord) -> dict[str, Any]:
    """Return the fields of `step` that say something: most say nothing, and builds are many."""
    defaults = StepRecord._field_defaults
    return {
        name: value
        for name, value in zip(StepRecord._fields, step, strict=True)
        if name not in defaults or value != defaults[name]
    }


def _step(fields: dict[str, Any]) -> StepRecord:
    fields["why"] = tuple(map(str, fields.get("why", ())))
    fields["usage"] = Usage(*fields.get("usage", ()))
    fields["lines"] = tuple(map(int, fields.get("lines", ())))
    inputs = fields["inputs"] = tuple(fields.get("inputs", ()))
    if not all(type(one) in (int, str) for one in inputs):
        raise ValueError("no inputs")
    step = StepRecord(**fields)
    if step.outcome not in _STEP_OUTCOMES:
        raise ValueError("no step")
    texts: tuple[object, ...] = (
        *(step.name, step.stage, step.kind, step.key, step.diff_id),
        *(step.log, step.note, step.message, step.document),
    )
    if not all(isinstance(one, str) for one in texts):
        raise ValueError("no step")
    if "/" in step.log or step.log.startswith("."):
        raise ValueError("no log name")
    numbers: tuple[object, ...] = (step.number, step.started, step.seconds, step.cost, *step.usage)
    if not all(isinstance(one, (int, float)) for one in numbers):
        raise ValueError("no step")
    return step


def _is_sound(record: BuildRecord) -> bool:
    """Tell whether the fields, which come from JSON, are of their types."""
    texts: tuple[object, ...] = (
        *(record.id, record.identity, record.dockerfile, record.context, record.target),
        *(record.platform, record.image, record.message),
    )
    times: tuple[object, ...] = (record.started, record.ended)
    if not all(isinstance(one, str) for one in texts):
        return False
    return record.outcome in _BUILD_OUTCOMES and all(isinstance(one, (int, float)) for one in times)
