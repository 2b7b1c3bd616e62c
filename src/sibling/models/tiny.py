"""Tiny models built from a seed, with a byte-level tokenizer: for tests and first looks, no download.

Each has the shape of a real family (Llama, Qwen2, Qwen3, Gemma, Mistral) in under a million float32
parameters. The same architecture and seed give the same weights, whatever the global random state is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sibling.errors import ModelError
from sibling.models.quiet import quiet
from sibling.seeds import derive

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONTEXT = 512
"""Most positions of a tiny model, in tokens."""

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "mistral")

PARAMETERS = {"llama": 107_200, "qwen2": 90_880, "qwen3": 90_688, "gemma": 90_624, "mistral": 107_200}
"""Weights of each tiny model; a tied head is counted once."""

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML: each turn between <|im_start|> and <|im_end|>, no default system message."""

_SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>")

_COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": CONTEXT,
    # Wide enough that the logits of a random model differ by about one nat: tests of sampling and of
    # log-probs then see a real distribution instead of a nearly uniform one.
    "initializer_range": 0.1,
}

# Both kinds of vocabulary head occur: tied to the input embedding, and its own matrix.
_TIED = {"llama": False, "qwen2": True, "qwen3": True, "gemma": True, "mistral": False}


def build_tiny(
    architecture: str, seed: int, *, sliding_window: int | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A tiny model (float32, eval) of `architecture` with the weights named by `seed`, and its tokenizer.

    Arguments: `architecture`, one of `ARCHITECTURES`; `seed`, any non-negative integer;
    `sliding_window` in tokens, for `mistral` only (None: full attention). The global random state of
    torch is left as it was. Raises `ModelError` for an unknown architecture or a misplaced window.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = build_tokenizer()
    config = _config(architecture, len(tokenizer), sliding_window)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "tiny", architecture) % 2**63)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        # Biases and norm weights leave their neutral values, so that code that forgets them is caught.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval(), tokenizer


def save_tiny(directory: Path, architecture: str, seed: int, *, sliding_window: int | None = None) -> Path:
    """Write a tiny model as a directory in the Hugging Face layout (safetensors) and return the directory."""
    model, tokenizer = build_tiny(architecture, seed, sliding_window=sliding_window)
    with quiet():
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    return directory


def build_tokenizer() -> PreTrainedTokenizerBase:
    """One token a byte and three special tokens: 259 ids. Any text survives encoding and decoding."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate((*_SPECIAL, *letters))}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|pad|>",
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHATML,
    )


def _config(architecture: str, vocabulary: int, sliding_window: int | None) -> Any:
    from transformers import GemmaConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

    classes = {
        "llama": LlamaConfig,
        "qwen2": Qwen2Config,
        "qwen3": Qwen3Config,
        "gemma": GemmaConfig,
        "mistral": MistralConfig,
    }
    if architecture not in classes:
        raise ModelError(
            "There is no tiny model of this architecture", seen=repr(architecture), wanted=", ".join(ARCHITECTURES)
        )
    if sliding_window is not None and architecture != "mistral":
        raise ModelError("Only the tiny mistral takes a sliding window", seen=architecture, wanted="mistral")
    options = dict(_COMMON, vocab_size=vocabulary, tie_word_embeddings=_TIED[architecture])
    options.update(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    if architecture == "mistral":
        options["sliding_window"] = sliding_window  # the class default is a window of 4096 tokens
    return classes[architecture](**options)
