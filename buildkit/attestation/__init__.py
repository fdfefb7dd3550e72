"""Documents about an image that lie beside it: what is in it (SBOM), how it was made (SLSA)."""
