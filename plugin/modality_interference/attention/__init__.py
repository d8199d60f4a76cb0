"""Inside a model's own attention function: observe the attention of chosen positions, and let rows share prefixes."""
