"""What the instructions make of an image's config and history, a case a row."""

from typing import Any, NamedTuple

import pytest

from buildkit.frontend.options import LowerOptions
from buildkit.oci.config import Healthcheck
from tests.buildkit.frontend.plans import AMD64, DEFAULT_PATH, lowered, parsed

BASE = {
    "entrypoint": ["base"],
    "cmd": ["arg"],
    "env": [DEFAULT_PATH, "A=1", "EMPTY", "B=2"],
    "labels": {"a": "1"},
    "shell": ["/bin/bash", "-c"],
    "healthcheck": Healthcheck(("NONE",)),
    "working_dir": "/srv",
    "onbuild": [],
}


class Case(NamedTuple):
    text: str
    """What stands behind `FROM base`."""
    config: dict[str, Any]
    history: str | None


CASES = {
    "nothing": Case("", {"cmd": ("arg",), "entrypoint": ("base",), "args_escaped": False}, None),
    "cmd shell form": Case(
        "CMD run $A",
        {"cmd": ("/bin/bash", "-c", "run $A"), "args_escaped": True, "entrypoint": ("base",)},
        'CMD ["/bin/bash" "-c" "run $A"]',
    ),
    "cmd exec form": Case('CMD ["a b", "\\"c"]', {"cmd": ("a b", '"c')}, 'CMD ["a b" "\\"c"]'),
    "cmd emptied": Case("CMD []", {"cmd": ()}, "CMD []"),
    "cmd that is no JSON": Case(
        "CMD ['a']", {"cmd": ("/bin/bash", "-c", "['a']")}, 'CMD ["/bin/bash" "-c" "[\'a\']"]'
    ),
    "last cmd": Case("CMD one\nCMD two", {"cmd": ("/bin/bash", "-c", "two")}, None),
    "entrypoint drops the inherited cmd": Case(
        'ENTRYPOINT ["e", "p"]',
        {"entrypoint": ("e", "p"), "cmd": None, "args_escaped": False},
        'ENTRYPOINT ["e" "p"]',
    ),
    "entrypoint keeps a cmd of this stage": Case(
        'CMD ["c"]\nENTRYPOINT e', {"entrypoint": ("/bin/bash", "-c", "e"), "cmd": ("c",)}, None
    ),
    "entrypoint drops the cmd of a stage below": Case(
        'CMD ["c"]\nFROM stage\nENTRYPOINT ["e"]', {"entrypoint": ("e",), "cmd": None}, None
    ),
    "entrypoint emptied": Case("ENTRYPOINT []", {"entrypoint": ()}, "ENTRYPOINT []"),
    "shell": Case(
        'SHELL ["/bin/ash", "-e"]\nCMD x',
        {"shell": ("/bin/ash", "-e"), "cmd": ("/bin/ash", "-e", "x")},
        'CMD ["/bin/ash" "-e" "x"]',
    ),
    "shell in history": Case('SHELL ["a", "b c"]', {"shell": ("a", "b c")}, "SHELL [a b c]"),
    "env replaces in place": Case(
        "ENV A=3 C='4 5' EMPTY=",
        {"env": (DEFAULT_PATH, "A=3", "EMPTY=", "B=2", "C=4 5")},
        "ENV A=3 C=4 5 EMPTY=",
    ),
    "env words see what was before": Case(
        "ENV A=2 X=$A", {"env": (DEFAULT_PATH, "A=2", "EMPTY", "B=2", "X=1")}, "ENV A=2 X=1"
    ),
    "env in its old form": Case(
        "ENV A the rest  of\\ it",
        {"env": (DEFAULT_PATH, "A=the rest  of it", "EMPTY", "B=2")},
        "ENV A=the rest  of it",
    ),
    "path": Case("ENV PATH=/p", {"env": ("PATH=/p", "A=1", "EMPTY", "B=2")}, "ENV PATH=/p"),
    "arg is not in the image": Case(
        "ARG A=9", {"env": (DEFAULT_PATH, "A=1", "EMPTY", "B=2")}, "ARG A=9"
    ),
    "args see those before": Case("ARG X=1 Y=$X Z", {}, "ARG X=1 Y=1 Z"),
    "labels": Case(
        'LABEL "b c"=2 a=$A$A', {"labels": (("a", "11"), ("b c", "2"))}, "LABEL b c=2 a=11"
    ),
    "maintainer": Case("MAINTAINER A $B <c@d>", {}, "MAINTAINER A $B <c@d>"),
    "expose": Case(
        "ENV P='90 91/udp'\nEXPOSE 80/TCP $P 8000-8002 127.0.0.1:1:80",
        {
            "exposed_ports": (
                "80/tcp",
                "8000/tcp",
                "8001/tcp",
                "8002/tcp",
                "90/tcp",
                "91/udp",
            )
        },
        "EXPOSE [80/tcp 8000/tcp 8001/tcp 8002/tcp 90/tcp 91/udp]",
    ),
    "volumes": Case('VOLUME ["/b", "/a b"]', {"volumes": ("/a b", "/b")}, "VOLUME [/b /a b]"),
    "volume words": Case("VOLUME /$A /b", {"volumes": ("/1", "/b")}, "VOLUME [/1 /b]"),
    "user": Case("USER u$A:g", {"user": "u1:g"}, "USER u1:g"),
    "signal": Case("STOPSIGNAL sigterm", {"stop_signal": "sigterm"}, "STOPSIGNAL sigterm"),
    "signal number": Case("STOPSIGNAL 9", {"stop_signal": "9"}, "STOPSIGNAL 9"),
    "no healthcheck": Case(
        "HEALTHCHECK NONE",
        {"healthcheck": Healthcheck(("NONE",))},
        "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s "
        "Retries:0}",
    ),
    "healthcheck": Case(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1h --start-interval=1.5s "
        "--retries=3 CMD curl $A",
        {
            "healthcheck": Healthcheck(
                test=("CMD-SHELL", "curl $A"),
                interval=90_000_000_000,
                timeout=500_000_000,
                start_period=3_600_000_000_000,
                start_interval=1_500_000_000,
                retries=3,
            )
        },
        "HEALTHCHECK {Test:[CMD-SHELL curl $A] Interval:1m30s Timeout:500ms StartPeriod:1h0m0s "
        "StartInterval:1.5s Retries:3}",
    ),
    "healthcheck exec form": Case(
        'HEALTHCHECK CMD ["a", "b"]', {"healthcheck": Healthcheck(("CMD", "a", "b"))}, None
    ),
    "workdir": Case("WORKDIR app", {"working_dir": "/srv/app"}, "WORKDIR /srv/app"),
    "workdir is cleaned": Case("WORKDIR /a/.././$A//x/", {"working_dir": "/1/x"}, "WORKDIR /1/x"),
    "workdir of nothing": Case("WORKDIR $NOTHING", {"working_dir": "/srv"}, "WORKDIR /srv"),
    "workdir root": Case("WORKDIR ../..", {"working_dir": "/"}, "WORKDIR /"),
    "onbuild": Case(
        "ONBUILD RUN <<A cat\nx $A\nA\nONBUILD  copy a \\\n b",
        {"onbuild": ("RUN <<A cat\nx $A\nA", "copy a  b")},
        None,
    ),
    "onbuild is not inherited": Case(
        "ONBUILD USER u\nFROM stage", {"onbuild": (), "user": "u"}, "USER u"
    ),
    "run exec form": Case('RUN ["a", "b c"]', {}, "RUN a b c # buildkit"),
    "run shell form": Case("RUN a  'b'", {}, "RUN /bin/bash -c a  'b' # buildkit"),
    "run with arguments": Case(
        "ARG X=1\nARG Y\nENV X=2\nRUN a", {}, "RUN |2 X=2 Y= /bin/bash -c a # buildkit"
    ),
    "run with an argument twice": Case(
        "ARG X=1\nARG Y=2 X=3\nRUN a", {}, "RUN |2 X=3 Y=2 /bin/bash -c a # buildkit"
    ),
    "copy": Case(
        "COPY --from=stage2 --link --chown=a:b --chmod=0644 --exclude=x src <<eof d/\neof",
        {},
        "COPY --chown=a:b --chmod=0644 src <<eof d/ # buildkit",
    ),
    "copy with parents": Case("COPY --parents a /b", {}, "COPY --parents a /b # buildkit"),
    "add": Case("ADD https://u:secret@h/p /b", {}, "ADD https://***@h/p /b # buildkit"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_instruction_changes_config_and_history(case: Case) -> None:
    result = lowered(
        parsed(f"FROM alpine AS stage2\nFROM base AS stage\n{case.text}"), images={"base": BASE}
    )
    fields = result.config._asdict()
    assert {name: fields[name] for name in case.config} == case.config
    if case.history is not None:
        assert result.history[-1].created_by == case.history
        assert result.history[-1].comment == "buildkit.dockerfile.v0"


def test_a_scratch_image_has_a_path_and_a_directory() -> None:
    result = lowered(parsed("FROM scratch"))
    assert (result.target, result.base) == (None, None)
    assert result.config.env == (DEFAULT_PATH,)
    assert result.config.working_dir == "/"


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("WORKDIR /\nENV A=1\nCMD x\nUSER u", 0),
        ("WORKDIR /a\nWORKDIR /a", 2),
        ("RUN a\nCOPY a /a\nADD b /b\nARG X", 3),
    ],
)
def test_as_many_entries_have_a_layer_as_there_are_layers(text: str, layers: int) -> None:
    history = lowered(parsed(f"FROM alpine\n{text}")).history
    assert sum(item.vertex is not None for item in history) == layers


def test_labels_of_the_command_line_come_last() -> None:
    options = LowerOptions(build_platform=AMD64, labels=(("a", "9"), ("z", "")))
    result = lowered(parsed("FROM base\nLABEL b=2"), options, {"base": BASE})
    assert result.config.labels == (("a", "9"), ("b", "2"), ("z", ""))


def test_maintainer_is_the_author_from_there_on() -> None:
    result = lowered(parsed("FROM alpine\nENV A=1\nMAINTAINER me\nENV B=1"))
    assert result.author == "me"
    assert [item.author for item in result.history] == ["", "me", "me"]
