"""From a batch to scores, figures and `interference.json`."""
