"""Attention of chosen query positions on all keys, measured inside the model's own attention function."""
