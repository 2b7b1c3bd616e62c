"""One batch in, new weights and statistics out: packing, log-probs, optimizer, checkpoints."""
