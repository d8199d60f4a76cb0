"""From a batch to scores, rates with intervals and `interference.json`."""
