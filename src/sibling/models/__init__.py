"""Policies: load, embed, build from a seed, talk to through a chat template."""
