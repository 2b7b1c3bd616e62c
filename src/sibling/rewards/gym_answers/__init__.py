"""Scorers of our own for the families of reasoning-gym, and the table of which family gets which."""
