"""Models and tasks: what is trained, on which prompts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sibling.config.section import Section

# ---------------------------------------------------------------------------------------------- models


class EmbeddedModel(Section):
    """The model that comes with the product: SmolLM2-135M-Instruct (Apache-2.0), fetched once, kept in the cache."""

    type: Literal["embedded"] = "embedded"


class DirectoryModel(Section):
    """A local directory in the Hugging Face layout: config.json, safetensors, a tokenizer."""

    type: Literal["directory"] = "directory"
    path: str
    chat_template: str | None = Field(None, description="path of a Jinja chat template, if the tokenizer has none")
    trust_remote_code: bool = Field(False, description="run Python that ships with the model; recorded when on")


class HubModel(Section):
    """A model named on the Hugging Face hub, read from the local hub cache or downloaded."""

    type: Literal["hub"] = "hub"
    id: str
    revision: str | None = Field(None, description="commit, tag or branch; pin a commit for a reproducible run")
    chat_template: str | None = Field(None, description="path of a Jinja chat template, if the tokenizer has none")
    trust_remote_code: bool = Field(False, description="run Python that ships with the model; recorded when on")


class TinyModel(Section):
    """A model of under a million parameters built from a seed, with a small tokenizer: for tests and first looks."""

    type: Literal["tiny"] = "tiny"
    architecture: Literal["llama", "qwen2", "qwen3", "gemma", "mistral"] = "llama"
    seed: int = Field(0, ge=0)


ModelConfig = Annotated[EmbeddedModel | DirectoryModel | HubModel | TinyModel, Field(discriminator="type")]


# ----------------------------------------------------------------------------------------------- tasks


class _Task(Section):
    system: str | None = Field(None, description="system message put before every prompt")


class LargestNumberTask(_Task):
    """Which of these numbers is the largest? The reference is that number."""

    type: Literal["largest_number"] = "largest_number"
    count: int = Field(4, ge=2, le=50, description="how many numbers are listed")
    digits: int = Field(2, ge=1, le=9, description="most digits a number has")


class ArithmeticTask(_Task):
    """One arithmetic expression; the reference is its value."""

    type: Literal["arithmetic"] = "arithmetic"
    digits: int = Field(2, ge=1, le=9, description="most digits an operand has")
    operations: tuple[Literal["+", "-", "*"], ...] = Field(("+", "-"), min_length=1)
    terms: int = Field(2, ge=2, le=8, description="operands in the expression")


class ReverseLettersTask(_Task):
    """Write these letters in reverse order."""

    type: Literal["reverse_letters"] = "reverse_letters"
    length: int = Field(4, ge=2, le=40, description="most letters in the word")


class CountingTask(_Task):
    """How often does a letter occur in a string?"""

    type: Literal["counting"] = "counting"
    length: int = Field(12, ge=2, le=200, description="letters in the string")


class PythonFunctionTask(_Task):
    """Write a Python function of two numbers. The column `asserts` holds hidden tests, for the reward `code`."""

    type: Literal["python_function"] = "python_function"
    largest: int = Field(99, ge=1, le=999, description="largest constant in the formula")
    asserts: int = Field(4, ge=1, le=20, description="hidden tests a function")


class JsonRecordTask(_Task):
    """Write what a sentence says of a person as a JSON object. The JSON Schema is in the column `schema`."""

    type: Literal["json_record"] = "json_record"
    keys: int = Field(2, ge=2, le=4, description="keys of the object: name, age, city, profession")


class _FileTask(_Task):
    path: str
    prompt: str = Field("prompt", description="column with the prompt: text, or a list of chat messages")
    reference: str | None = Field("reference", description="column with the reference answer; null if there is none")
    id: str | None = Field(None, description="column with a unique id; null: the content digest serves")
    held_out: str | None = Field(None, description="file or directory with held-out prompts, same columns")
    held_out_share: float = Field(0.1, gt=0, lt=1, description="share held out by digest when `held_out` is not given")


class JsonLinesTask(_FileTask):
    """One JSON object a line."""

    type: Literal["jsonl"] = "jsonl"


class ParquetTask(_FileTask):
    """A Parquet file."""

    type: Literal["parquet"] = "parquet"


class DatasetTask(_FileTask):
    """A directory written by `datasets.Dataset.save_to_disk`."""

    type: Literal["dataset"] = "dataset"
    split: str = Field("train", description="split to read when the directory holds several")


class ReasoningGymTask(_Task):
    """A task family of the package `reasoning-gym`, by name, with its own options and its own scorer."""

    type: Literal["reasoning_gym"] = "reasoning_gym"
    family: str
    options: dict[str, Any] = Field(default_factory=dict)


class CallableTask(_Task):
    """`def prompts(split: str, seed: int) -> Iterable[dict]` with keys prompt, reference and, if wished, id."""

    type: Literal["callable"] = "callable"
    target: str = Field(description="'module:name' or 'file.py:name'")


TaskConfig = Annotated[
    LargestNumberTask
    | ArithmeticTask
    | ReverseLettersTask
    | CountingTask
    | PythonFunctionTask
    | JsonRecordTask
    | JsonLinesTask
    | ParquetTask
    | DatasetTask
    | ReasoningGymTask
    | CallableTask,
    Field(discriminator="type"),
]
