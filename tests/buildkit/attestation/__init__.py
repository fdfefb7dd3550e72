"""Tests of buildkit.attestation."""
