"""From a model section of a recipe to a model in memory with everything the record says about it.

Covers: the embedded model, local directories, hub models, tiny models; every reason to refuse one.
Leaves out: adapters, quantized weights (they cannot be trained in float32) and anything pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sibling.canonical import digest, sha256
from sibling.config import EmbeddedModel, HubModel, ModelConfig, TinyModel
from sibling.errors import ModelError
from sibling.models import chat, embedded, files, hub, tiny
from sibling.models.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for training, and the facts that identify it."""

    model: PreTrainedModel  # float32, in evaluation mode, attention implementation as transformers chose it
    tokenizer: PreTrainedTokenizerBase  # with a chat template
    source: dict[str, Any]  # the recipe's model section, with the commit or pinned digest it came to; JSON-ready
    files: dict[str, str]  # file name -> "sha256:hex" of weights, config and tokenizer files
    digest: str  # digest of `files`
    eos_ids: tuple[int, ...]  # every token that ends a completion, ascending; never empty
    context: int  # most positions, in tokens
    licence: str | None  # None: not stated
    architecture: str  # the class of the model, such as LlamaForCausalLM


def load_policy(config: ModelConfig, *, base: Path) -> LoadedModel:
    """The model that `config` names. Paths are relative to `base`.

    Weights are float32 whatever the files hold. Raises `ModelError` for whatever makes a model unusable:
    missing files, pickled or quantized weights, no tokenizer, no chat template, no end-of-sequence token.
    """
    if isinstance(config, TinyModel):
        return _tiny(config)
    if isinstance(config, EmbeddedModel):
        folder, digests = embedded.ensure()
        return _from_directory(folder, name="smollm2-135m-instruct", source=embedded.describe(), digests=digests)
    template = chat.read_template(_path(config.chat_template, base)) if config.chat_template else None
    source = config.model_dump(mode="json")
    if isinstance(config, HubModel):
        folder, name = hub.snapshot(config.id, config.revision, code=config.trust_remote_code), config.id
        source["commit"] = folder.name
    else:
        folder, name = _path(config.path, base), config.path
    return _from_directory(folder, name=name, source=source, template=template, trust=config.trust_remote_code)


def _path(written: str, base: Path) -> Path:
    return base / Path(written).expanduser()


def _tiny(config: TinyModel) -> LoadedModel:
    from safetensors.torch import save

    model, tokenizer = tiny.build_tiny(config.architecture, config.seed)
    weights = save({name: p.detach() for name, p in sorted(model.named_parameters())})
    digests = {"model.safetensors": sha256(weights), "tokenizer.json": chat.tokenizer_digest(tokenizer)}
    return _assemble(model, tokenizer, name="tiny", source=config.model_dump(mode="json"), digests=digests, terms=None)


def _from_directory(
    folder: Path,
    *,
    name: str,
    source: dict[str, Any],
    template: str | None = None,
    digests: dict[str, str] | None = None,
    trust: bool = False,
) -> LoadedModel:
    files.check_directory(folder, name=name)
    with quiet():
        tokenizer = _read_tokenizer(folder, name, trust)
        model = _read_model(folder, name, trust)
    if template is not None:
        tokenizer.chat_template = template
    return _assemble(
        model,
        tokenizer,
        name=name,
        source=source,
        digests=digests or files.digest_files(folder),
        terms=files.licence(folder),
    )


def _read_tokenizer(folder: Path, name: str, trust: bool) -> PreTrainedTokenizerBase:
    """tokenizer.json as it is, where there is one.

    transformers 5 has a list of model types (qwen2 for one) for which it rebuilds the tokenizer from the
    class it knows and drops what tokenizer.json says; the file that lies with the weights is the truth here.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        if (folder / "tokenizer.json").is_file():
            return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
    except Exception as error:  # transformers raises many kinds; each means the tokenizer cannot be used
        raise _unreadable("tokenizer", name, error) from error


def _read_model(folder: Path, name: str, trust: bool) -> PreTrainedModel:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        settings = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
    except Exception as error:  # as above
        raise _unreadable("config", name, error) from error
    if getattr(settings, "quantization_config", None) is not None:
        raise ModelError(
            f"The weights of {name} are quantized, so they cannot be trained in float32",
            seen=f"quantization_config in config.json: {_short(settings.quantization_config)}",
            wanted="the unquantized model",
            do="Use the repository or directory the quantized model was made from",
        )
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust,
            output_loading_info=True,
        )
    except Exception as error:  # as above
        raise _unreadable("model", name, error) from error
    _check_complete(report, name)
    return model.eval()


def _check_complete(report: dict[str, Any], name: str) -> None:
    """transformers fills what a file lacks with random numbers and goes on; that is refused here."""
    lacking = sorted(str(k) for kind in ("missing_keys", "mismatched_keys") for k in report.get(kind) or ())
    if lacking:
        raise ModelError(
            f"The weights of {name} do not fill the model its config.json describes",
            seen=f"{len(lacking)} missing or misshapen: {', '.join(lacking[:3])}",
            wanted="every weight, in the shape the config gives",
            do="Fetch the model again; a model without a language-model head cannot be trained here",
        )


def _assemble(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    name: str,
    source: dict[str, Any],
    digests: dict[str, str],
    terms: str | None,
) -> LoadedModel:
    # The first render of the run happens here, so that a template that cannot be used is refused at once.
    chat.render(tokenizer, [{"role": "user", "content": "Hello"}])
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise ModelError(
            f"The tokenizer of {name} has ids the model has no embedding for",
            seen=f"highest id {highest}, {rows} embeddings",
            wanted="a tokenizer that belongs to the model",
            do="Copy the tokenizer files that were saved with these weights",
        )
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        files=digests,
        digest=digest(digests),
        eos_ids=_eos_ids(model, tokenizer, name),
        context=_context(model, name),
        licence=terms,
        architecture=type(model).__name__,
    )


def _eos_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> tuple[int, ...]:
    """Union of what generation_config, the tokenizer and the template's end of turn say."""
    stated = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = set(stated) if isinstance(stated, list | tuple) else {stated}
    ids |= {tokenizer.eos_token_id, chat.end_of_turn(tokenizer)}
    found = tuple(sorted(int(i) for i in ids if i is not None))
    if not found:
        raise ModelError(
            f"The model {name} has no end-of-sequence token, so a completion could never end",
            seen="no eos_token_id in generation_config.json or in the tokenizer, no special token after a turn",
            wanted="the token that ends an answer",
            do='Set "eos_token" in tokenizer_config.json or "eos_token_id" in generation_config.json',
        )
    return found


def _context(model: PreTrainedModel, name: str) -> int:
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not positions:
        raise ModelError(
            f"The config of {name} does not say how long a sequence may be",
            seen="no max_position_embeddings in config.json",
            wanted="the context in tokens",
            do='Add "max_position_embeddings" to config.json',
        )
    return int(positions)


def _unreadable(part: str, name: str, error: Exception) -> ModelError:
    trust = "trust_remote_code" in str(error)
    return ModelError(
        f"The {part} of {name} cannot be loaded",
        seen=f"{type(error).__name__}: {_short(error)}",
        wanted="a decoder-only language model that transformers can read",
        do="Set model.trust_remote_code=true if you trust the Python that ships with it"
        if trust
        else "Check that the files are whole, and that the architecture is one this version of transformers knows",
    )


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else text[:200] + " ..."
