"""From a raw row to a sample with twins; torch is not needed."""

from . import formats, perturbations


__all__ = ["formats", "perturbations"]
