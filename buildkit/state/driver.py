"""The door to SQLite: its module without what the standard library puts around it.

`sqlite3` also imports `datetime`, for conversions that pybuild does not use: 1 ms of every
command. The names are the same objects in both. Source: PEP 249.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3 as sqlite3
else:
    import _sqlite3 as sqlite3  # noqa: F401 - what this module is for
