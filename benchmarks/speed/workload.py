"""The workloads: prompts of an exact number of tokens, the sizes of every case, and a shared reward for the curves.

Standard library and `tokenizers` only: the controlling process loads no torch.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROMPT_TOKENS = 61
GROUP_SIZE = 8
TOKENS = 64
PROMPTS = 4
SAMPLING_PROMPTS = (4, 8, 16)  # x 8 siblings = 32, 64, 128 rows

_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Asked:
    """Prompts as text and as the model's tokens."""

    texts: list[str]
    ids: list[list[int]]


@cache
def _tokenizer(model: str) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(Path(model) / "tokenizer.json"))


def prompts(model: str, count: int, length: int = PROMPT_TOKENS) -> Asked:
    """`count` different questions of exactly `length` tokens, the same on every call."""
    tokenizer, rng = _tokenizer(model), random.Random(0)
    texts: list[str] = []
    while len(texts) < count:
        numbers = ", ".join(str(rng.randint(10, 99)) for _ in range(4))
        text = _fitting(tokenizer, f"Which of these numbers is the largest: {numbers}? Answer in a sentence", length)
        if text is not None and text not in texts:
            texts.append(text)
    return Asked(texts, [list(tokenizer.encode(t, add_special_tokens=False).ids) for t in texts])


def _fitting(tokenizer: Any, question: str, length: int) -> str | None:
    """The question in ChatML, filled with words up to `length` tokens; None if it cannot be."""
    filler = 0
    while True:
        text = _chat(question + " please" * filler + ".")
        size = len(tokenizer.encode(text, add_special_tokens=False).ids)
        if size >= length:
            return text if size == length else None
        filler += length - size


def _chat(question: str) -> str:
    return f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def random_ids(count: int, length: int, vocabulary: int) -> list[list[int]]:
    """`count` prompts of `length` random tokens, for growth, where what they say does not matter."""
    rng = random.Random(0)
    return [[rng.randrange(3, vocabulary) for _ in range(length)] for _ in range(count)]


def last_number(text: str) -> str | None:
    """The last whole number of a text, as written."""
    found = _NUMBER.findall(text)
    return found[-1] if found else None
