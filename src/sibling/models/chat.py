"""The only place where a chat template is applied and a prompt becomes token ids.

Covers: rendering with the generation prompt, encoding without a second beginning-of-sequence token, the
end-of-turn token, digests of tokenizer, template and a golden render. Leaves out: tools, images and
templates chosen by name.

Templates that print today's date would make a run irreproducible, so they are shown one fixed day.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sibling.canonical import canonical_json, digest, sha256
from sibling.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]

FIXED_DAY = datetime.datetime(2024, 7, 26, tzinfo=datetime.UTC)
"""The day `strftime_now` shows to a template: the one the Llama 3.1 template falls back to without a clock."""

GOLDEN_CONVERSATION: tuple[Message, ...] = (
    {"role": "user", "content": "Which number is the largest: 7, 42 or 19?"},
    {"role": "assistant", "content": "42"},
    {"role": "user", "content": "And of  3\nand é?"},
)
"""A fixed conversation whose render and token ids pin template and tokenizer down."""


def render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], template: str | None = None) -> str:
    """The text the model continues: `messages` through the chat template, with the generation prompt.

    `template` replaces the tokenizer's own. Raises `ModelError` when there is no template, or when the
    template refuses the messages (Gemma's, for one, has no system role).
    """
    return _apply(tokenizer, messages, template, generation_prompt=True)


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> NDArray[np.int64]:
    """[T] token ids of rendered text. Nothing is added: a template writes its own special tokens."""
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return np.asarray(ids, dtype=np.int64)


def read_template(path: Path) -> str:
    """The Jinja chat template in the file `path`. Raises `ModelError` when it cannot be read or is empty."""
    advice = "Give model.chat_template the path of a Jinja file, relative to the recipe"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"The chat template {path} cannot be read", seen=str(error), do=advice) from error
    if not text.strip():
        raise ModelError(f"The chat template {path} is empty", wanted="a Jinja template over `messages`", do=advice)
    return text


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id of the special token that the template writes right after an assistant's message, if it does."""
    answer = "The answer is here."
    turns = [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": answer}]
    try:
        text = render_turns(tokenizer, turns)
    except ModelError:
        return None  # a template made for single prompts: it ends no turn
    _, found, tail = text.rpartition(answer)
    special = {str(token): i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    matches = [token for token in special if found and tail.lstrip().startswith(token)]
    return special[max(matches, key=len)] if matches else None


def golden_render_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Digest of the golden conversation as text and as token ids: equal renders and equal ids, or a change."""
    text = render(tokenizer, GOLDEN_CONVERSATION)
    return digest({"text": text, "ids": encode(tokenizer, text).tolist()})


def template_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the chat template's text. Raises `ModelError` when there is none."""
    return sha256(_template(tokenizer, None).encode())


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Digest of the tokenizer as loaded: its whole definition if it is a fast one, else its vocabulary."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is not None:
        return sha256(core.to_str().encode())
    return sha256(canonical_json(tokenizer.get_vocab()))


def render_turns(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """Messages that end with an answer, as the template writes a finished conversation."""
    return _apply(tokenizer, messages, None, generation_prompt=False)


def _apply(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], template: str | None, *, generation_prompt: bool
) -> str:
    from jinja2 import TemplateError, TemplateSyntaxError

    text = _template(tokenizer, template)
    if "strftime_now" in text:
        text = _fixed_clock() + text
    try:
        rendered = tokenizer.apply_chat_template(
            [dict(m) for m in messages],
            chat_template=text,
            tokenize=False,
            add_generation_prompt=generation_prompt,
        )
    except TemplateSyntaxError as error:
        raise ModelError(
            "The chat template is not valid Jinja",
            seen=f"line {error.lineno}: {error.message}",
            do="Mend the file named by model.chat_template, or the tokenizer's own template",
        ) from error
    except (TemplateError, TypeError, KeyError) as error:
        raise ModelError(
            "The chat template refuses these messages",
            seen=f"roles {[m.get('role') for m in messages]}: {error}",
            wanted="messages the template knows how to write",
            do="Change the task's messages (task.system, for one) or give another template as model.chat_template",
        ) from error
    return str(rendered)


def _fixed_clock() -> str:
    """A Jinja macro that hides transformers' clock: only text reaches a template, so the clock is text as well.

    The line break at the end is eaten by Jinja (trim_blocks), so that the template still starts a line.
    """
    codes = "".join(f"|replace('%{c}', '{FIXED_DAY.strftime('%' + c)}')" for c in "aAbBdHIjmMpSyY")
    return "{% macro strftime_now(format) %}{{ format" + codes + " }}{% endmacro %}\n"


def _template(tokenizer: PreTrainedTokenizerBase, template: str | None) -> str:
    chosen = template if template is not None else tokenizer.chat_template
    if isinstance(chosen, dict):
        chosen = chosen.get("default")
    if not chosen:
        raise ModelError(
            f"The tokenizer of {tokenizer.name_or_path or 'the model'} has no chat template",
            wanted="a Jinja template that turns messages into the text the model continues",
            do="Write one to a file and name it in the recipe as model.chat_template=FILE",
        )
    return str(chosen)
