"""Engines, how they are started, and what runs on them."""
