"""From a sample to tokens and device batches."""
