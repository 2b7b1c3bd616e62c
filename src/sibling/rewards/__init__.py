"""Verifiers: one verdict a reward a completion."""
