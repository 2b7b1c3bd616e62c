"""Evaluation on held-out prompts, and the paired comparison of two evaluations."""
