"""The built-in perturbations; importing this package registers them."""

from . import audio, image, text, video


__all__ = ["audio", "image", "text", "video"]
