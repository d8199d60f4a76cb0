"""Twins: rows whose answer stays while an irrelevant modality changes (importing this package imports nothing heavy)."""
