"""From the task section of a recipe to a source of prompts."""

from __future__ import annotations

from pathlib import Path

from sibling.config import (
    ArithmeticTask,
    CallableTask,
    CountingTask,
    DatasetTask,
    JsonLinesTask,
    JsonRecordTask,
    LargestNumberTask,
    ParquetTask,
    PythonFunctionTask,
    ReasoningGymTask,
    ReverseLettersTask,
    TaskConfig,
)
from sibling.tasks.files import open_file_source
from sibling.tasks.generators import GeneratorSource
from sibling.tasks.gym import GymSource
from sibling.tasks.python_source import CallableSource
from sibling.tasks.task import TaskSource


def open_source(config: TaskConfig, *, base: Path) -> TaskSource:
    """The source that `config` names; paths are relative to `base` (the recipe's folder), then to the working folder.

    Raises `TaskError` for a missing or empty source, malformed lines, missing columns, empty prompts, duplicate
    ids, prompts that are in both streams, and tasks too small to hold prompts out.
    """
    match config:
        case (
            LargestNumberTask()
            | ArithmeticTask()
            | ReverseLettersTask()
            | CountingTask()
            | PythonFunctionTask()
            | JsonRecordTask()
        ):
            return GeneratorSource(config)
        case JsonLinesTask() | ParquetTask() | DatasetTask():
            return open_file_source(config, base=base)
        case ReasoningGymTask():
            return GymSource(config)
        case CallableTask():
            return CallableSource(config, base=base)
