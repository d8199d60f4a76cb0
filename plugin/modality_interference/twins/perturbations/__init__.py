"""The built-in perturbations; importing this package registers them."""

from . import image, text


__all__ = ["image", "text"]
