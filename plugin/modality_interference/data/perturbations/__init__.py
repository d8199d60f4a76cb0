"""The built-in perturbations."""

from . import audio_visual, image, text


__all__ = ["audio_visual", "image", "text"]
