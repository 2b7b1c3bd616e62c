"""Worker that knows the tasks: the prompts a run would ask, in its order, and its own verdicts on given texts."""

from __future__ import annotations

import sys
from typing import Any

from speed.serve import Channel, serve, settings
from speed.side_ours import RECIPE


class Tasks:
    """The task source and the grader of a recipe; no model is trained."""

    def __init__(self, options: list[str]) -> None:
        from sibling.config import load_recipe
        from sibling.models import embedded
        from sibling.rewards.grade import Grader
        from sibling.tasks.load import open_source

        self.recipe = load_recipe(RECIPE, options)
        self.source = open_source(self.recipe.task, base=RECIPE.parent)
        self.grader = Grader(self.recipe.rewards, base=RECIPE.parent, max_tokens=self.recipe.sampling.max_tokens)
        self.folder = embedded.ensure()[0]

    def prompts(self, steps: int) -> dict[str, Any]:
        """Text as the model sees it, and reference, of every prompt in order."""
        from transformers import PreTrainedTokenizerFast

        from sibling.models import chat

        tokenizer = PreTrainedTokenizerFast.from_pretrained(self.folder, local_files_only=True)
        found = [[chat.render(tokenizer, t.messages), t.reference] for t in self._tasks(steps)]
        return {"prompts": found}

    def grade(self, steps: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """In how many of `rows` (prompt, text, score) our verdict is another score."""
        import numpy as np

        from sibling.batch import Completion, Finish

        tasks = list(self._tasks(steps))
        ids, logprobs = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.float32)
        said = [Completion(ids, logprobs, Finish.eos, row["text"]) for row in rows]
        verdicts = self.grader.grade([tasks[row["prompt"]] for row in rows], said)
        return {"disagreements": sum(v[0].score != row["score"] for v, row in zip(verdicts, rows, strict=True))}

    def _tasks(self, steps: int) -> Any:
        size = self.recipe.sampling.prompts_per_step
        return (self.source.train(self.recipe.seed, n // size, n % size, size) for n in range(steps * size))


def main() -> None:
    """Load, then serve."""
    channel = Channel()
    tasks = Tasks(**settings())
    serve(channel, {"prompts": tasks.prompts, "grade": tasks.grade}, {"path": "tasks"})


if __name__ == "__main__":
    sys.exit(main())
