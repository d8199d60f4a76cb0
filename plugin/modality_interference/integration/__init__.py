"""LLaMA-Factory's side of the plugin."""

from .plugin import install


__all__ = ["install"]
