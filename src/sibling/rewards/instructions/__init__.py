"""Verifiable instructions: what an answer has to do, checked by small functions, one a kind."""

from sibling.rewards.instructions.judge import Instructions
from sibling.rewards.instructions.table import TABLE, describe

__all__ = ["TABLE", "Instructions", "describe"]
