"""Prompts in, groups of completions out: the engine protocol, its implementations, and the batch they make."""
