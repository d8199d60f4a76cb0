"""Attention of chosen positions, and rows that share prefixes, inside of the model's own attention function."""
