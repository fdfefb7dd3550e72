"""What an instruction is called in an image's history: `created_by`, to the letter.

In: expanded values. Out: text as BuildKit writes it, since tools read it. Document:
docs/dockerfile.md, chapter 12. FROM and ONBUILD leave no entry.
"""

from __future__ import annotations

from grammar.errors import quote
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from buildkit.oci.config import Healthcheck


COMMENT = "buildkit.dockerfile.v0"
_LAYER = " # buildkit"

_SECOND = 1_000_000_000
_SMALL = (("ms", 1_000_000), ("\u00b5s", 1_000), ("ns", 1))


class HistoryItem(NamedTuple):
    """An entry of the history; `vertex` made its layer, None where there is none."""

    created_by: str
    vertex: str | None
    author: str
    comment: str


def run(args: Sequence[str], arguments: Mapping[str, str | None], env: Mapping[str, str]) -> str:
    """Return the entry of RUN; `arguments` are the ARGs declared so far, shown as they are now."""
    shown = [f"{name}={env.get(name, value or '')}" for name, value in arguments.items()]
    if shown:
        shown.insert(0, f"|{len(shown)}")
    return f"RUN {' '.join([*shown, *args])}{_LAYER}"


def copy(
    keyword: str,
    *,
    parents: bool,
    chown: str,
    chmod: str,
    sources: Iterable[str],
    heredocs: Iterable[str],
    dest: str,
) -> str:
    """Return the entry of COPY or ADD; `heredocs` are the names of inline files."""
    words = [keyword]
    if parents:
        words.append("--parents")
    if chown:
        words.append(f"--chown={chown}")
    if chmod:
        words.append(f"--chmod={chmod}")
    words += [*sources, *(f"<<{name}" for name in heredocs), dest]
    return " ".join(words) + _LAYER


def pairs(keyword: str, items: Iterable[tuple[str, str]]) -> str:
    """Return the entry of ENV or LABEL."""
    return " ".join([keyword, *(f"{key}={value}" for key, value in items)])


def arg(items: Iterable[tuple[str, str | None]]) -> str:
    """Return the entry of ARG."""
    return " ".join(
        ["ARG", *(name if value is None else f"{name}={value}" for name, value in items)]
    )


def command(keyword: str, args: Iterable[str]) -> str:
    """Return the entry of CMD or ENTRYPOINT: strings in quotes, without commas."""
    return f"{keyword} [{' '.join(map(quote, args))}]"


def words(keyword: str, items: Iterable[str]) -> str:
    """Return the entry of EXPOSE, VOLUME or SHELL."""
    return f"{keyword} [{' '.join(items)}]"


def value(keyword: str, text: str) -> str:
    """Return the entry of USER, WORKDIR, STOPSIGNAL or MAINTAINER."""
    return f"{keyword} {text}"


def healthcheck(check: Healthcheck) -> str:
    """Return the entry of HEALTHCHECK, which is how Go prints the value."""
    return (
        f"HEALTHCHECK {{Test:[{' '.join(check.test)}] Interval:{duration(check.interval)} "
        f"Timeout:{duration(check.timeout)} StartPeriod:{duration(check.start_period)} "
        f"StartInterval:{duration(check.start_interval)} Retries:{check.retries}}}"
    )


def duration(nanoseconds: int) -> str:
    """Return a time as Go prints it: `1m30s`, `1.5s`, `500ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    for unit, size in _SMALL:
        if size <= nanoseconds < _SECOND:
            return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _SECOND)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _decimal(number: int, unit: int) -> str:
    """Return `number` in `unit`, a power of ten, with no digit more than it needs."""
    whole, fraction = divmod(number, unit)
    if not fraction:
        return str(whole)
    return f"{whole}.{str(fraction).zfill(len(str(unit)) - 1).rstrip('0')}"
