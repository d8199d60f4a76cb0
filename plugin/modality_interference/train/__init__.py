"""The training method: attack, consistency, the decoder hook and the trainer."""
