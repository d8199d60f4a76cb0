"""Rows that begin alike: their common prefix is computed once, in training, in the attack and in the diagnosis."""
