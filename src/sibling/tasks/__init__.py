"""Prompts with their reference answers, and where they come from."""
