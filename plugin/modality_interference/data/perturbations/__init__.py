"""The built-in perturbations."""

from . import audio_visual, evidence, image, numbers, text


__all__ = ["audio_visual", "evidence", "image", "numbers", "text"]
