"""A model of the Hugging Face hub as a local directory: from the hub's cache, or downloaded into it.

Fetched: config, safetensors, tokenizer, model card (and Python files only where the recipe trusts them).
Never fetched: pickled weights. Needs no torch.
"""

from __future__ import annotations

from pathlib import Path

from sibling.errors import ModelError

_WANTED = (
    "*.json",
    "*.safetensors",
    "*.model",
    "*.tiktoken",
    "*.jinja",
    "merges.txt",
    "vocab.txt",
    "README.md",
)


def snapshot(model: str, revision: str | None = None, *, code: bool = False) -> Path:
    """The directory of the hub model `model` at `revision` (a commit, tag or branch; None: the main branch).

    `code`: fetch the Python files that ship with the model as well. The directory's name is the commit.
    Raises `ModelError` naming the way out when the model is neither in the cache nor to be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(
            snapshot_download(
                model,
                revision=revision,
                allow_patterns=[*_WANTED, "*.py"] if code else list(_WANTED),
                ignore_patterns=["*/*"],  # other formats and original checkpoints live in subfolders
            )
        )
    except HFValidationError as error:
        raise ModelError(
            "This is not the name of a model on the Hugging Face hub",
            seen=repr(model),
            wanted="owner/name; a local directory is model.type=directory with model.path",
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, HfHubHTTPError) as error:
        raise _unavailable(model, revision, error) from error


def _unavailable(model: str, revision: str | None, error: Exception) -> ModelError:
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    wanted = f"{model}, {f'revision {revision}' if revision else 'main branch'}"
    if isinstance(error, GatedRepoError):
        what, do = "must be asked for on its page", "Ask for access there and run `hf auth login`"
    elif isinstance(error, RevisionNotFoundError):
        what, do = "has no such revision", "Correct model.revision"
    elif isinstance(error, RepositoryNotFoundError):
        what, do = "does not exist on the hub, or is private", "Correct model.id, or run `hf auth login`"
    elif constants.HF_HUB_OFFLINE:
        what = "is not in the cache, and HF_HUB_OFFLINE forbids fetching it"
        do = f"Unset HF_HUB_OFFLINE, or {_ways(model)}"
    else:
        what, do = "is not in the cache and cannot be fetched", f"Check the network, or {_ways(model)}"
    return ModelError(
        f"The model {model} {what}", seen=f"{_first_line(error)} (cache {constants.HF_HUB_CACHE})", wanted=wanted, do=do
    )


def _ways(model: str) -> str:
    return (
        f"run `sibling models get {model}` where there is a network and copy that Hugging Face cache here "
        "(HF_HOME says where it lies), or put the files in a directory and use model.type=directory with model.path"
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
