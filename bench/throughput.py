"""Tokens per second, sampled and trained, of the demo's recipe on this machine: `make bench`.

It runs the recipe for a few steps in a temporary directory, without evaluation, and reads the rates from the record.
The first step is left out of the medians, because it pays for allocations. What the figures do not cover: long
completions (the demo's have at most 16 tokens), other models, and what else the machine is doing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "largest-number.yaml"
RATES = ("sampled_tokens_per_second", "trained_tokens_per_second", "seconds_step")


def main() -> None:
    """Run, read, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--steps", type=int, default=6, help="the first is left out of the medians")
    parser.add_argument("overrides", nargs="*", help="key=value, as for `sibling train`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        overrides = [f"run_dir={run}", f"steps={options.steps}", "evaluation.prompts=0", *options.overrides]
        sibling = Path(sys.executable).with_name("sibling")
        subprocess.run([sibling, "train", options.recipe, *overrides], check=True, stdout=subprocess.DEVNULL)
        show(rates(run / "events.jsonl"))


def rates(log: Path) -> list[dict[str, float]]:
    """The wall-clock statistics of each step, in order."""
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [event["body"]["wall"] for event in events if event["type"] == "update.applied"]


def show(steps: list[dict[str, float]]) -> None:
    """One line a step, then the medians without the first."""
    print("step" + "".join(f"{name:>28}" for name in RATES))
    for number, step in enumerate(steps, start=1):
        print(f"{number:>4}" + "".join(f"{step[name]:>28.1f}" if name in step else f"{'-':>28}" for name in RATES))
    medians = [statistics.median(s[name] for s in steps[1:] if name in s) for name in RATES]
    print("med." + "".join(f"{value:>28.1f}" for value in medians))


if __name__ == "__main__":
    main()
