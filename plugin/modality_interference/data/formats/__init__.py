"""The built-in formats."""

from . import audio_visual, chat, choice


__all__ = ["audio_visual", "chat", "choice"]
