"""Find and remove modality interference in multimodal models, as a plugin for LLaMA-Factory."""

__version__ = "0.2.0"
