"""A language model that judges over an OpenAI-compatible endpoint."""

from sibling.rewards.judge.reward import LanguageJudge

__all__ = ["LanguageJudge"]
