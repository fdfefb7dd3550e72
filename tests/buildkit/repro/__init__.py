"""Tests of buildkit.repro."""
