"""The command `modality-interference`; LLaMA-Factory and torch are imported by the subcommands that need them."""

from .app import main


__all__ = ["main"]
