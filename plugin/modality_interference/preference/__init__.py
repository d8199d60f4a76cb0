"""Preference pairs out of a diagnosis: which answers to prefer to which, for LLaMA-Factory's `stage: dpo`."""
