"""Reward models of transformers: raw scores of completions, one for the outcome or one for each step.

Covers: local directories with safetensors weights, one output (its logit) or two (the log-odds of the second);
`AutoModelForSequenceClassification` for the outcome, `AutoModelForTokenClassification` for steps, read at the last
token of each; the model's own chat template around prompt and completion. What a completion says cannot become a
special token. Prompts and completions that do not fit are left out, never cut. In float32 a score depends on the other
completions of its batch by rounding alone (below 1e-5); in bfloat16, where that rounding would show, each is computed
alone. Leaves out: pickled weights, models that bring their own Python, adapters.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sibling.canonical import digest
from sibling.config import ModelReward
from sibling.errors import ModelError
from sibling.models import chat, files
from sibling.models.quiet import quiet

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Kind = Literal["outcome", "process"]

_CHARACTERS_A_TOKEN = 200  # no tokenizer packs more on average: longer texts are too long without counting
_MARK = "7f3ad4c1f09a"  # stands for an answer, to see what the template writes around it
_SURROGATES = re.compile("[\ud800-\udfff]")  # tokenizers refuse them


class Asked(Protocol):
    """What a completion answers: the messages of a task."""

    @property
    def messages(self) -> Sequence[Mapping[str, str]]:
        """Role and content of each."""
        ...


@dataclass(frozen=True)
class _Row:
    """One sequence of token ids [L], and where its scores are read: (end in the text, index of the token)."""

    ids: list[int]
    reads: list[tuple[int, int]]


class ModelScorer:
    """A reward model in memory; calling it gives raw scores. Safe to call from several threads, one at a time runs.

    Arguments: `folder`, the model's directory; `kind`; `ends`, which gives the characters of a text after which its
    scores are read, ascending; `batch_size` in completions a pass; `max_tokens`, the longest sequence (the model's own
    limit if that is less). Raises `ModelError` for a directory that holds no usable reward model.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: Kind,
        ends: Callable[[str], Sequence[int]],
        batch_size: int = 8,
        max_tokens: int = 2048,
        dtype: Literal["float32", "bfloat16"] = "float32",
        device: str = "cpu",
    ) -> None:
        files.check_directory(folder)
        with quiet():
            self._tokenizer = _read_tokenizer(folder, kind)
            self._model = _read_model(folder, kind, dtype).to(device)
        self._kind, self._ends, self._device = kind, ends, device
        self._batch_size = batch_size if dtype == "float32" else 1
        self._longest = min(max_tokens, _context(self._model) or max_tokens)
        self._pad = _padding(self._model, self._tokenizer)
        self.files = files.digest_files(folder)
        self.digest = digest(self.files)
        self._lock = threading.Lock()

    def __call__(self, tasks: Sequence[Asked], texts: Sequence[str]) -> list[list[tuple[int, float]]]:
        """For each text its (end, raw score) in order; empty where prompt and text are longer than `max_tokens`."""
        with self._lock:
            rows = [self._row(task.messages, text) for task, text in zip(tasks, texts, strict=True)]
            found: list[list[tuple[int, float]]] = [[] for _ in rows]
            lengths = {i: len(row.ids) for i, row in enumerate(rows) if row is not None}
            order = sorted(lengths, key=lambda i: lengths[i])  # neighbours of like length waste little padding
            for start in range(0, len(order), self._batch_size):
                part = order[start : start + self._batch_size]
                batch = [row for i in part if (row := rows[i]) is not None]
                for i, scores in zip(part, self._scores(batch), strict=True):
                    found[i] = scores
        return found

    # -- text to tokens

    def _row(self, messages: Sequence[Mapping[str, str]], text: str) -> _Row | None:
        if len(text) > _CHARACTERS_A_TOKEN * self._longest:
            return None
        text = _SURROGATES.sub("\ufffd", text)
        before, shown, after = self._around(messages, text)
        opening, closing = chat.encode(self._tokenizer, before).tolist(), chat.encode(self._tokenizer, after).tolist()
        coded = self._tokenizer(
            shown,
            add_special_tokens=False,
            split_special_tokens=True,  # "<|im_end|>" in a completion is text
            return_offsets_mapping=self._kind == "process",
            verbose=False,
        )
        ids = opening + list(coded["input_ids"]) + closing
        if len(ids) > self._longest:
            return None
        if self._kind == "outcome":
            return _Row(ids, [(end, len(ids) - 1) for end in self._ends(text)])
        skipped = text.find(shown)  # white space that the template takes off
        starts = [skipped + int(a) for a, _ in coded["offset_mapping"]]
        return _Row(ids, [(end, len(opening) + _last_before(starts, end)) for end in self._ends(text)])

    def _around(self, messages: Sequence[Mapping[str, str]], text: str) -> tuple[str, str, str]:
        """What the template writes before the completion, the completion as it writes it, and what comes after."""
        before, _, after = self._turns(messages, _MARK).rpartition(_MARK)
        whole = self._turns(messages, text)
        for shown in (text, text.strip()):
            if before + shown + after == whole:
                return before, shown, after
        # The template rewrites answers (some drop the thought): the completion is put where an answer begins.
        return chat.render(self._tokenizer, messages), text, after

    def _turns(self, messages: Sequence[Mapping[str, str]], answer: str) -> str:
        turns = [*messages, {"role": "assistant", "content": answer}]
        return chat.render_turns(self._tokenizer, turns)

    # -- tokens to scores

    def _scores(self, rows: Sequence[_Row]) -> list[list[tuple[int, float]]]:
        import torch

        width = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), width), self._pad, dtype=torch.int64)
        mask = torch.zeros((len(rows), width), dtype=torch.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = torch.tensor(row.ids)
            mask[i, : len(row.ids)] = 1
        with torch.inference_mode():
            output = self._model(input_ids=ids.to(self._device), attention_mask=mask.to(self._device))
        raw = _raw(output.logits)  # [N], or [N, L]
        if self._kind == "outcome":
            return [[(end, float(raw[i])) for end, _ in row.reads] for i, row in enumerate(rows)]
        return [[(end, float(raw[i, at])) for end, at in row.reads] for i, row in enumerate(rows)]


def load_scorer(
    config: ModelReward, *, base: Path, ends: Callable[[str], Sequence[int]], device: str = "cpu"
) -> ModelScorer:
    """The scorer that a reward's section asks for; its path is relative to `base`. Raises as `ModelScorer` does."""
    return ModelScorer(
        base / Path(config.path).expanduser(),
        kind=config.kind,
        ends=ends,
        batch_size=config.batch_size,
        max_tokens=config.max_tokens,
        device=device,
    )


def _raw(logits: Tensor) -> Tensor:
    """The one logit, or the log-odds of the second label against the first."""
    wide = logits.double().cpu()
    return wide[..., 0] if wide.shape[-1] == 1 else wide[..., 1] - wide[..., 0]


def _last_before(starts: Sequence[int], end: int) -> int:
    """Index of the last token that begins before `end`; the first token if none does."""
    return max((i for i, start in enumerate(starts) if start < end), default=0)


def _read_tokenizer(folder: Path, kind: Kind) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    reader = PreTrainedTokenizerFast if (folder / "tokenizer.json").is_file() else AutoTokenizer
    try:
        tokenizer = reader.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises many kinds; each means the tokenizer cannot be used
        raise _unreadable("tokenizer", folder, error) from error
    if kind == "process" and not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer of the reward model {folder} cannot say where its tokens lie in the text",
            wanted="a tokenizer with tokenizer.json, so that a step's last token can be found",
        )
    chat.render(tokenizer, [{"role": "user", "content": "Hello"}])  # a template that cannot be used is refused here
    return tokenizer


def _read_model(folder: Path, kind: Kind, dtype: str) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    reader = AutoModelForSequenceClassification if kind == "outcome" else AutoModelForTokenClassification
    try:
        model, report = reader.from_pretrained(
            folder, dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # as above
        raise _unreadable("model", folder, error) from error
    lacking = sorted(str(k) for name in ("missing_keys", "mismatched_keys") for k in report.get(name) or ())
    if lacking:
        raise ModelError(
            f"The weights in {folder} are not those of a reward model of the {kind}",
            seen=f"{len(lacking)} missing or misshapen: {', '.join(lacking[:3])}",
            wanted=f"every weight of {type(model).__name__}, its head too",
            do="Name a directory that was saved as a reward model; a language model has no such head"
            + (", and a model of the outcome has none for steps" if kind == "process" else ""),
        )
    if model.config.num_labels not in (1, 2):
        raise ModelError(
            f"The reward model {folder} has more outputs than can be read as a score",
            seen=f"{model.config.num_labels} labels",
            wanted="one (a score) or two (wrong, right)",
        )
    return model.eval()


def _context(model: PreTrainedModel) -> int | None:
    stated: Any = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(stated) if stated else None


def _padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The padding token; the model has to know it, for it reads the outcome at the last token that is not one."""
    known = model.config.pad_token_id if model.config.pad_token_id is not None else tokenizer.pad_token_id
    found = known if known is not None else tokenizer.eos_token_id
    if found is None:
        raise ModelError(
            "The reward model has no padding token",
            seen="no pad_token and no eos_token in its config or tokenizer",
            do='Add "pad_token_id" to its config.json',
        )
    model.config.pad_token_id = int(found)
    return int(found)


def _unreadable(part: str, folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"The {part} of the reward model {folder} cannot be loaded",
        seen=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
        wanted="a model for classification that this version of transformers knows, without Python of its own",
        do="Check that the files are whole",
    )
