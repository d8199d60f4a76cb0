"""LLaMA-Factory's side of the plugin: what is added to it, swapped in it, and refused."""
