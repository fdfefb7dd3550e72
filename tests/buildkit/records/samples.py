"""Build and step records with little in them."""

from typing import Any

from buildkit.records.record import BuildRecord, StepRecord


def step(number: int, text: str, **fields: Any) -> StepRecord:
    given = {
        "number": number,
        "name": f"[build {number}/9] {text}",
        "stage": "build",
        "kind": "exec",
        "outcome": "run",
        "key": f"{number:064x}",
    }
    return StepRecord(**{**given, **fields})


def build(name: str, *steps: StepRecord, **fields: Any) -> BuildRecord:
    given = {
        "id": name,
        "identity": "app",
        "dockerfile": "Dockerfile",
        "context": "/src",
        "target": "",
        "platform": "linux/amd64",
        "started": float(len(name)),
        "ended": float(len(name)) + 1,
        "outcome": "done",
        "steps": steps,
    }
    return BuildRecord(**{**given, **fields})
