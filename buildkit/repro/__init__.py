"""Builds the same thing twice under varied conditions and compares: `pybuild repro`."""
