"""Names for containers whose users gave them none: a manner and an animal."""

from __future__ import annotations

import os

_MANNERS = (
    "agile", "amber", "bold", "brave", "bright", "brisk", "calm", "clever", "cosy", "crisp",
    "curious", "deft", "eager", "early", "fair", "fleet", "fond", "gentle", "glad", "golden",
    "happy", "hardy", "honest", "jolly", "keen", "kind", "light", "lively", "lucid", "lucky",
    "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "plain", "proud",
    "quick", "quiet", "rapid", "ready", "royal", "shiny", "silent", "simple", "sleek", "smart",
    "snug", "sober", "solid", "spry", "steady", "still", "sunny", "swift", "tidy", "vivid",
    "warm", "wise", "witty", "young",
)  # fmt: skip
_ANIMALS = (
    "badger", "bat", "bear", "beaver", "bee", "bison", "boar", "cat", "cobra", "condor",
    "crab", "crane", "crow", "deer", "dingo", "dove", "eagle", "eel", "elk", "falcon",
    "ferret", "finch", "fox", "frog", "gecko", "goose", "hare", "hawk", "heron", "horse",
    "ibex", "jackal", "jay", "koala", "lark", "lemur", "lion", "lynx", "magpie", "marten",
    "mole", "moose", "moth", "newt", "orca", "otter", "owl", "panda", "puffin", "quail",
    "raven", "robin", "salmon", "seal", "shark", "stork", "swan", "tapir", "tiger", "toad",
    "trout", "viper", "wolf", "wren",
)  # fmt: skip


def random_name() -> str:
    """Return one of some four million names."""
    first, second, *number = os.urandom(4)
    words = f"{_MANNERS[first % len(_MANNERS)]}_{_ANIMALS[second % len(_ANIMALS)]}"
    return f"{words}_{int.from_bytes(bytes(number), 'big') % 1000}"
