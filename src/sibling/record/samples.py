"""Sample files: every completion of a step, one Parquet row each, trained or not. Equal input gives equal bytes.

Rows are ordered by (round, prompt, sibling). No value depends on the clock. The file's metadata, under the key
`sibling`, is canonical JSON: schema version, run id, step, reward names and weights. Bytes are equal for equal
input and one version of pyarrow (its version is part of every Parquet file).
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sibling.batch import Fate, Prompt, Row, TokenEvidence
from sibling.canonical import canonical_json, sha256
from sibling.errors import RecordError
from sibling.record.events import SCHEMA_VERSION
from sibling.record.files import atomic_write

MAX_ROWS = 10_000_000
MAX_BYTES = 8 << 30  # uncompressed: a small hostile file can claim terabytes

_METADATA_KEY = b"sibling"

_FIELDS: list[pa.Field[Any]] = [
    pa.field("step", pa.int32(), nullable=False),
    pa.field("prompt", pa.int32(), nullable=False),  # index into the step's prompts
    pa.field("round", pa.int32(), nullable=False),  # sampling round of dynamic sampling, from 0
    pa.field("sibling", pa.int32(), nullable=False),
    pa.field("task_id", pa.string(), nullable=False),
    pa.field("prompt_text", pa.string(), nullable=False),
    pa.field("prompt_ids", pa.list_(pa.int32()), nullable=False),
    pa.field("reference", pa.string()),
    pa.field("text", pa.string(), nullable=False),
    pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
    pa.field("sampler_logprobs", pa.list_(pa.float32()), nullable=False),
    pa.field("finish", pa.string(), nullable=False),
    pa.field("length", pa.int32(), nullable=False),
    pa.field("status", pa.list_(pa.string()), nullable=False),  # R, in the order of the reward names
    pa.field("score", pa.list_(pa.float64()), nullable=False),  # R; null where the reward gave none
    pa.field("reason", pa.list_(pa.string()), nullable=False),  # R
    pa.field("code", pa.list_(pa.string()), nullable=False),  # R; the reason as one word, empty where there is none
    pa.field("span", pa.list_(pa.list_(pa.int32())), nullable=False),  # R; characters of `text` taken for the answer
    pa.field("reward", pa.float64()),  # weighted total; null: unscorable
    pa.field("advantage", pa.float64(), nullable=False),  # exactly 0 when not trained
    pa.field("fate", pa.string(), nullable=False),
    pa.field("trained", pa.bool_(), nullable=False),
    # What advantages of single tokens are made of; null where the objective looks at whole completions only.
    pa.field("advantages", pa.list_(pa.float64())),  # one a token
    pa.field("kl", pa.list_(pa.float32())),  # log pi_old - log pi_ref at each token, when the KL is in the reward
    pa.field("values", pa.list_(pa.float32())),  # of the critic, at each token
    pa.field("step_ends", pa.list_(pa.int32())),  # index of the last token of each scored step
    pa.field("step_scores", pa.list_(pa.float64())),
]

SCHEMA = pa.schema(_FIELDS)
"""The columns, in order."""


def write_samples(
    path: Path,
    step: int,
    run_id: str,
    *,
    reward_names: Sequence[str],
    reward_weights: Sequence[float],
    prompts: Sequence[Prompt],
    rows: Sequence[Row],
) -> tuple[str, dict[str, Any]]:
    """Write the rows of a step, aside then renamed; its folder is made if need be.

    Returns the file's digest and its counts {generated, trained, rejected: {fate: n}}. Raises `RecordError` for rows
    that cannot be recorded as they are (two with one place, a prompt that is not there, a verdict missing, an
    advantage on a completion that was not trained) and when the disk refuses the file.
    """
    ordered = sorted(rows, key=lambda r: (r.round, r.prompt, r.sibling))
    _require_recordable(ordered, len(prompts), len(reward_names))
    note = {
        "schema": SCHEMA_VERSION,
        "run": run_id,
        "step": step,
        "reward_names": list(reward_names),
        "reward_weights": [float(w) for w in reward_weights],
    }
    schema = SCHEMA.with_metadata({_METADATA_KEY: canonical_json(note)})
    try:
        data = _parquet([_columns(step, prompts[r.prompt], r) for r in ordered], schema)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:  # say, text with half a surrogate pair
        raise RecordError(f"The completions of step {step} cannot be recorded", seen=str(error)[:200]) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"Cannot make the folder {path.parent}", seen=error.strerror) from error
    atomic_write(path, data)
    return sha256(data), counts(ordered)


def counts(rows: Sequence[Row]) -> dict[str, Any]:
    """{generated, trained, rejected: {fate: n}}: generated = trained + the sum over rejected."""
    fates = Counter(r.fate for r in rows)
    rejected = {fate.value: n for fate, n in sorted(fates.items()) if fate is not Fate.trained}
    return {"generated": len(rows), "trained": fates[Fate.trained], "rejected": rejected}


def read_samples(path: Path) -> pa.Table:
    """The table of a sample file. `RecordError` if it is missing, damaged, too large or has other columns."""
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
            if meta.num_rows > MAX_ROWS or size > MAX_BYTES:
                raise RecordError(
                    f"{path} is too large to be a sample file", seen=f"{meta.num_rows} rows, {size} bytes"
                )
            table = file.read(use_threads=False)
        if not table.schema.equals(SCHEMA, check_metadata=False):
            raise RecordError(f"{path} has other columns than a sample file", wanted=", ".join(SCHEMA.names))
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["unknown"])[0]
        raise RecordError(f"The sample file {path} cannot be read", seen=reason[:200]) from error
    return table


def sample_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a sample file as dictionaries, in order."""
    return read_samples(path).to_pylist()


def sample_metadata(table: pa.Table) -> dict[str, Any]:
    """What the file says of itself: schema, run, step, reward_names, reward_weights. Empty if it says nothing valid."""
    raw = (table.schema.metadata or {}).get(_METADATA_KEY, b"{}")
    try:
        note = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _parquet(columns: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    table = pa.Table.from_pylist(columns, schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=3, version="2.6", use_dictionary=True)
    return sink.getvalue()


def _columns(step: int, prompt: Prompt, row: Row) -> dict[str, Any]:
    completion, evidence = row.completion, row.evidence or TokenEvidence()
    return {
        "step": step,
        "prompt": row.prompt,
        "round": row.round,
        "sibling": row.sibling,
        "task_id": prompt.id,
        "prompt_text": prompt.text,
        "prompt_ids": prompt.token_ids.tolist(),
        "reference": prompt.reference,
        "text": completion.text,
        "token_ids": completion.token_ids.tolist(),
        "sampler_logprobs": completion.logprobs.tolist(),
        "finish": completion.finish.value,
        "length": len(completion.token_ids),
        "status": [v.status.value for v in row.verdicts],
        "score": [v.score for v in row.verdicts],
        "reason": [v.reason for v in row.verdicts],
        "code": [v.code for v in row.verdicts],
        "span": [None if v.span is None else list(v.span) for v in row.verdicts],
        "reward": row.reward,
        "advantage": float(row.advantage),
        "fate": row.fate.value,
        "trained": row.fate is Fate.trained,
        "advantages": _list(evidence.advantage),
        "kl": _list(evidence.kl),
        "values": _list(evidence.values),
        "step_ends": _list(evidence.step_ends),
        "step_scores": _list(evidence.step_scores),
    }


def _list(column: NDArray[Any] | None) -> list[Any] | None:
    return None if column is None else column.tolist()


def _require_recordable(rows: Sequence[Row], prompts: int, rewards: int) -> None:
    places = Counter((r.round, r.prompt, r.sibling) for r in rows)
    twice = next((place for place, n in places.items() if n > 1), None)
    if twice is not None:
        raise RecordError("Two completions have one place (round, prompt, sibling)", seen=twice)
    for row in rows:
        place = f"round {row.round}, prompt {row.prompt}, sibling {row.sibling}"
        if not 0 <= row.prompt < prompts:
            raise RecordError("A completion belongs to no prompt of the step", seen=place, wanted=f"0 to {prompts - 1}")
        if len(row.verdicts) != rewards:
            raise RecordError("A completion lacks a verdict", seen=f"{len(row.verdicts)} at {place}", wanted=rewards)
        if row.fate is not Fate.trained and row.advantage != 0:
            raise RecordError(
                f"A completion that was not trained ({row.fate.value}) has an advantage",
                seen=f"{row.advantage} at {place}",
                wanted=0,
            )
