"""Stores to load into."""

from tests.buildkit.exporter.conftest import other, stock

__all__ = ["other", "stock"]
