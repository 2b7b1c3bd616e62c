"""What lies in a model directory: which files count, whether they will do, their digests and the licence.

safetensors only: pickled weights can run code when they are read, so they are never opened. Needs no torch.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from sibling.canonical import file_digest
from sibling.errors import ModelError

DIGESTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "chat_template.*",
    "*.py",
)
"""Names of the files that decide what the model computes or reads."""

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "*.tiktoken", "vocab.json", "vocab.txt", "spiece.model")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MENTIONS_NOTHING = ("other", "unknown", "")


def check_directory(folder: Path, *, name: str | None = None) -> None:
    """Raise `ModelError` unless `folder` holds a config, safetensors weights and a tokenizer.

    `name` is what the errors call the model: the path, unless another name is better known.
    """
    called = name or str(folder)
    if not folder.is_dir():
        raise ModelError(
            f"The model directory {called} does not exist" if not folder.exists() else f"{called} is not a directory",
            wanted="a directory with config.json, *.safetensors and a tokenizer",
            do="Correct model.path, which is relative to the recipe, or use model.type=embedded",
        )
    if not (folder / "config.json").is_file():
        _no_config(folder, called)
    if not any(folder.glob("*.safetensors")):
        _no_weights(folder, called)
    if not any(any(folder.glob(pattern)) for pattern in _TOKENIZERS):
        raise ModelError(
            f"The model {called} has no tokenizer",
            seen=_listing(folder),
            wanted="tokenizer.json, or tokenizer.model, or vocab.json with merges.txt",
            do="Copy the tokenizer files of the model it was trained from into the directory",
        )


def digest_files(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 for the weights, the config and the tokenizer files in `folder`, sorted by name."""
    named = sorted(p for p in folder.iterdir() if p.is_file() and any(fnmatch(p.name, d) for d in DIGESTED))
    return {p.name: file_digest(p) for p in named}


def licence(folder: Path) -> str | None:
    """The licence named in the front matter of the model card (README.md), or None where it names none."""
    facts = _front_matter(folder / "README.md")
    found = facts.get("license")
    if isinstance(found, list):
        found = found[0] if found else None
    if found is None or str(found).lower() in _MENTIONS_NOTHING:
        found = facts.get("license_name")
    return str(found) if found is not None else None


def _front_matter(card: Path) -> dict[str, Any]:
    try:
        text = card.read_text(encoding="utf-8")
        opening, header, _ = text.split("---", 2)
        facts = yaml.safe_load(header) if not opening.strip() else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}  # no card, or none that states anything: the licence is unknown, not wrong
    return facts if isinstance(facts, dict) else {}


def _no_config(folder: Path, called: str) -> None:
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"The directory {called} holds an adapter, not a whole model",
            seen=_listing(folder),
            wanted="config.json with the weights of the whole model",
            do="Merge the adapter into its base model and save that, then name the result in model.path",
        )
    raise ModelError(
        f"The model directory {called} has no config.json",
        seen=_listing(folder),
        wanted="a directory in the Hugging Face layout: config.json, *.safetensors and a tokenizer",
        do="Name the directory that holds config.json in model.path",
    )


def _no_weights(folder: Path, called: str) -> None:
    pickled = sorted(p.name for pattern in _PICKLED for p in folder.glob(pattern))
    if pickled:
        raise ModelError(
            f"The model {called} has pickled weights only, and reading those can run any code",
            seen=", ".join(pickled[:5]),
            wanted="*.safetensors",
            do='If you trust the file, convert it once: python -c "from transformers import AutoModelForCausalLM as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\"",
        )
    raise ModelError(
        f"The model {called} has no weights",
        seen=_listing(folder),
        wanted="*.safetensors",
        do="Copy the weights into the directory; for a model still downloading, wait until it is whole",
    )


def _listing(folder: Path) -> str:
    names = sorted(p.name for p in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "an empty directory") + more
