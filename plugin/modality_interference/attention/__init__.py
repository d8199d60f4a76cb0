"""Inside a model's own attention function: observe or change the attention of chosen positions, and let rows share prefixes."""
