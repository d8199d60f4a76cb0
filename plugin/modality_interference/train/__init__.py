"""The training method: attack, consistency, alignment, the decoder hook and the trainer."""
