"""Every row of the table of objectives trains a tiny model through the whole pipeline and learns a toy task.

The task: say characters with an even ASCII code. A random model has about 0.3 of that reward; what each row has to
reach is stated in `ROWS`, and a row without a line fails. `MODIFIERS` does the same for what is put around a row
(several updates, KL and its references, corrections, masks, bonuses), with the effect that has to show in the
statistics. Every record is verified, and all its advantages are recomputed bit by bit.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sibling.config import ObjectiveConfig, parse_recipe
from sibling.maths.objectives import OBJECTIVES
from sibling.pipeline.run import train
from sibling.record.verify import verify_run

SEED = 0
CHANCE = 0.35  # above the first step's reward of every line whose rewards lie in [0, 1], on seeds 0, 1 and 2

TOY = '''
from sibling.batch import Status, StepScore, Verdict


def prompts(split, seed):
    """Prompts of two kinds; the reward with_bonus pays 1 more for one of them, which a critic can learn."""
    for i in range(8):
        text = f"{split} {i} " + "+-"[i % 2] * 8
        yield {"prompt": text, "reference": "a b", "expert": "$$$", "bonus": float(i % 2)}


def is_even(character):
    return character < "\\x80" and ord(character) % 2 == 0


def share(task, completion):
    return sum(map(is_even, completion.text)) / max(len(completion.text), 1)


def dollars(task, completion):
    return completion.text.count("$") / max(len(completion.text), 1)


def right(task, completion):
    return float(is_even((completion.text or "!")[0]))


def with_bonus(task, completion):
    return share(task, completion) + task.columns["bonus"]


def scored(hits, wanted):
    """A verdict with one step a character."""
    if not hits:
        return Verdict(Status.wrong, 0.0)
    steps = tuple(StepScore(end, float(hit)) for end, hit in enumerate(hits, start=1))
    return Verdict(Status.right if all(hits) else Status.wrong, sum(hits) / wanted, steps=steps)


def each(task, completion):
    return scored([is_even(c) for c in completion.text], max(len(completion.text), 1))


def places(task, completion):
    hits = [c == task.reference[i : i + 1] for i, c in enumerate(completion.text)]
    return scored(hits, len(task.reference))
'''


@dataclass(frozen=True)
class Line:
    """How a row is tried: settings (dotted, as on the command line), its rewards, and the reward it has to reach."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    rewards: tuple[str, ...] = ("share",)
    passes: int = 2  # rows without a ratio take one
    steps: int = 24
    wanted: float = 0.88
    row: str = ""


BINARY = ("right",)

ROWS = {
    "grpo": Line(),
    "grpo_process": Line(rewards=("each",)),
    "dr_grpo": Line(),
    "dapo": Line(),
    "high_entropy": Line(),
    "deepseek_v3_2": Line(),
    "lite_ppo": Line(),
    "local_mean": Line(),
    "bnpo": Line(rewards=BINARY),
    "rloo": Line({"objective.kl.beta": 0.01}, passes=1),
    "rloo_clip": Line({"objective.clip_low": 0.9, "objective.clip_high": 0.9}),
    "reinforce": Line(passes=1),
    "reinforce_pp": Line({"objective.kl.beta": 0.01}),
    "reinforce_pp_baseline": Line(),
    "ppo": Line(
        {
            "objective.kl.beta": 0.01,
            "objective.advantage.critic.learning_rate": 3e-3,
            "objective.advantage.critic.warmup_steps": 6,
        },
        rewards=("with_bonus",),
        steps=30,
        wanted=0.5 + 0.88,
    ),
    "gpg": Line(passes=1),
    "opo": Line(passes=1),
    "gspo": Line(),
    "gspo_token": Line(),
    "luspo": Line(),
    "gmpo": Line(),
    "cispo": Line(),
    "sapo": Line(),
    "vespo": Line(),
    "dppo_tv": Line(),
    "dppo_kl": Line(),
    "clip_cov": Line({"objective.share": 0.05, "objective.score_low": 0.05, "objective.score_high": 50.0}),
    "kl_cov": Line({"objective.share": 0.05}),
    "kimi": Line(),
    "maxrl": Line(rewards=BINARY, passes=1),
    "passk": Line(rewards=BINARY),
    "pkpo": Line(rewards=BINARY, passes=1, wanted=0.7),  # pass@2 is near 1 there, and it seeks no more
    "passk_max": Line(passes=1, wanted=0.7),  # one completion of a group teaches
    "gdpo": Line(rewards=("share", "right"), wanted=2 * 0.88),
    "luffy": Line(passes=1, wanted=0.8),
}
"""Row -> how it is tried."""

Stats = list[dict[str, float]]


@dataclass(frozen=True)
class Modifier:
    """What is put around a row, and the effect that has to show in the statistics of the run."""

    line: Line
    shows: Callable[[Stats], bool]


def _all(name: str, test: Callable[[float], bool]) -> Callable[[Stats], bool]:
    return lambda stats: all(test(s[name]) for s in stats if name in s) and any(name in s for s in stats)


def _mean(name: str, test: Callable[[float], bool]) -> Callable[[Stats], bool]:
    def shows(stats: Stats) -> bool:
        seen = [s[name] for s in stats if name in s]
        return bool(seen) and test(sum(seen) / len(seen))

    return shows


def _and(*parts: Callable[[Stats], bool]) -> Callable[[Stats], bool]:
    return lambda stats: all(part(stats) for part in parts)


def _follows(target: float, horizon: int) -> Callable[[Stats], bool]:
    """Every beta is Ziegler's step from the one before (1909.08593 eq. 2, 32 completions a step), and beta moved."""

    def shows(stats: Stats) -> bool:
        beta = 0.02
        for s in stats:
            if s["kl_beta"] != pytest.approx(beta, rel=1e-9):
                return False
            if "kl" in s:
                beta *= 1 + min(max(s["kl"] / target - 1, -0.2), 0.2) * 32 / horizon
        return abs(beta / 0.02 - 1) > 0.2

    return shows


def _starts_over(every: int) -> Callable[[Stats], bool]:
    """The KL is exactly 0 in the step after a refresh and at the start, and in no step between while it learns."""

    def shows(stats: Stats) -> bool:
        fresh = [s["kl"] for s in stats[::every] if "kl" in s]
        between = [s["kl"] for i, s in enumerate(stats[: 2 * every]) if i % every]
        return fresh == [0.0] * len(fresh) and len(fresh) > 2 and all(k > 1e-3 for k in between)

    return shows


def _target(target: float, change: float) -> Callable[[Stats], bool]:
    """The coefficient rises by `change` a step with an entropy at or below the target, falls above, and acts below."""

    def shows(stats: Stats) -> bool:
        coefficient, acts, acted = 0.0, False, 0
        for s in stats:
            if s["entropy_coefficient"] != pytest.approx(coefficient if acts else 0.0, abs=1e-12):
                return False
            acted += s["entropy_coefficient"] > 0
            if "entropy" in s:
                acts = s["entropy"] <= target
                coefficient = max(coefficient + (change if s["entropy"] < target else -change), 0.0)
        return acted > 3

    return shows


KL = {"objective.kl.beta": 0.02}
MODIFIERS = {
    "several passes and minibatches": Modifier(
        Line({"learner.minibatches": 2}, row="dapo"),
        _and(
            lambda stats: stats[0]["updates"] == 4,
            _mean("clip_low_share", lambda x: x > 0.01),
            _mean("clip_high_share", lambda x: x > 0.01),
            _all("ratio_identity_gap", lambda x: x == 0),
            _mean("ratio_mean", lambda x: x != 1),
        ),
    ),
    "kl in the loss": Modifier(
        Line(KL, row="grpo"),
        _and(_all("kl", lambda x: x >= 0), lambda stats: all(s["loss"] > s["policy_loss"] for s in stats[1:])),
    ),
    "adaptive kl in the loss": Modifier(
        Line(
            {**KL, "objective.kl.adaptive.target": 0.5, "objective.kl.adaptive.horizon": 200},
            row="grpo",
        ),
        _follows(0.5, 200),
    ),
    "adaptive kl in the reward": Modifier(
        Line(
            {**KL, "objective.kl.adaptive.target": 0.5, "objective.kl.adaptive.horizon": 200},
            row="rloo",
            passes=1,
            wanted=0.8,
        ),
        _follows(0.5, 200),
    ),
    "refreshed reference": Modifier(
        Line({**KL, "objective.kl.reference.type": "refresh", "objective.kl.reference.every": 6}, row="grpo", passes=1),
        _starts_over(6),
    ),
    "averaged reference": Modifier(  # the initial one ends above 2 nats a token
        Line({**KL, "objective.kl.reference.type": "ema", "objective.kl.reference.decay": 0.8}, row="grpo"),
        lambda stats: max(s["kl"] for s in stats[1:] if "kl" in s) < 1.5 and stats[3]["kl"] > 1e-3,
    ),
    "sampler correction": Modifier(  # under LoRA in bfloat16 the merged weights differ from base plus adapters
        Line(
            {
                "objective.sampler_correction.action": "mask",
                "objective.sampler_correction.min": 0.99,
                "objective.sampler_correction.max": 1.01,
                "learner.compute_dtype": "bfloat16",
                "learner.finetune.type": "lora",
                "learner.optimizer.learning_rate": 0.02,
            },
            row="dapo",
            wanted=0.45,
        ),
        _and(
            _mean("sampler_dropped_share", lambda x: 0.01 < x < 0.9),
            _mean("sampler_weight_mean", lambda x: 0.1 < x < 0.99),
        ),
    ),
    "off-policy mask": Modifier(
        Line({"objective.off_policy_mask.delta": 0.02}, row="deepseek_v3_2"),
        _mean("off_policy_dropped_share", lambda x: 0.05 < x < 0.6),
    ),
    "entropy bonus": Modifier(  # without it the entropy ends near 1.9 nats
        Line({"objective.entropy_bonus.coefficient": 0.1}, row="dapo", wanted=0.75),
        _and(_all("entropy_coefficient", lambda x: x == 0.1), _all("entropy", lambda x: x > 2.5)),
    ),
    "entropy bonus with a target": Modifier(
        Line(
            {
                "objective.entropy_bonus.coefficient": 0.0,
                "objective.entropy_bonus.target": 3.5,
                "objective.entropy_bonus.change": 0.01,
            },
            row="dapo",
            wanted=0.75,
        ),
        _target(3.5, 0.01),
    ),
    "step match": Modifier(  # "a b", one step a word; 1 for both words and 1 for the three characters
        Line(
            {"sampling.max_tokens": 3, "sampling.group_size": 16},
            rewards=("step_match", "places"),
            row="grpo_process",
            steps=40,
            wanted=0.7,
        ),
        lambda stats: stats[0]["reward_mean"] < 0.05,
    ),
    "expert traces": Modifier(  # of 259 tokens one pays, which the expert alone says at first: 1 of 8 siblings
        Line(rewards=("dollars",), row="luffy", passes=1, wanted=0.8),
        lambda stats: stats[0]["reward_mean"] < 0.15,
    ),
    "dynamic sampling": Modifier(
        Line({"filters.dynamic_sampling.enabled": True}, row="dapo", rewards=BINARY, wanted=0.8),
        lambda stats: any(s["sampling_rounds"] > 1 and s["generated"] > 32 for s in stats),
    ),
}
"""What is put around a row -> how it is tried, and what it shows."""


def _reward(name: str) -> dict[str, Any]:
    if name == "step_match":
        return {"type": "step_match", "separator": " "}
    return {"type": "callable", "target": f"toy.py:{name}", "name": name}


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        data = data.setdefault(part, {})
    data[last] = value


def recipe(folder: Path, line: Line) -> dict[str, Any]:
    """The recipe of a line, in `folder`."""
    data: dict[str, Any] = {
        "name": line.row,
        "run_dir": str(folder / "run"),
        "seed": SEED,
        "steps": line.steps,
        "model": {"type": "tiny"},
        "task": {"type": "callable", "target": "toy.py:prompts"},
        "audit": {"triples": 0},
        "rewards": [_reward(name) for name in line.rewards],
        "reward_policy": {"refused_references": "warn"},
        "sampling": {"prompts_per_step": 4, "group_size": 8, "max_tokens": 4},
        "objective": {"type": line.row},
        "learner": {"optimizer": {"learning_rate": 5e-3}, "compute_dtype": "float32", "passes": line.passes},
        "evaluation": {"prompts": 0},
        "checkpoints": {"every": 1000},
    }
    for key, value in line.settings.items():
        _put(data, key, value)
    return data


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Bodies of the events of one kind."""
    lines = (json.loads(line) for line in (folder / "run" / "events.jsonl").read_text().splitlines())
    return [e["body"] for e in lines if e["type"] == kind]


def trained(folder: Path, line: Line) -> Stats:
    """Train the line, verify its record, and return the statistics of its steps."""
    (folder / "toy.py").write_text(TOY)
    train(parse_recipe(recipe(folder, line)), base=folder)
    report = verify_run(folder / "run")
    assert report.ok and report.findings == []
    assert report.facts["bit_equal"] == report.facts["advantages_recomputed"] == report.facts["generated"]
    return [e["stats"] for e in events(folder, "update.applied")]


def reached(stats: Stats) -> float:
    """Mean reward of the last four steps: two epochs of the prompts."""
    return sum(s["reward_mean"] for s in stats[-4:]) / 4


def named(row: str, line: Line) -> Line:
    """The line with its row."""
    return line if line.row else Line(line.settings, line.rewards, line.passes, line.steps, line.wanted, row)


def test_every_row_has_a_line() -> None:
    configured = {t.model_fields["type"].default for t in typing.get_args(typing.get_args(ObjectiveConfig)[0])}
    assert set(ROWS) == set(OBJECTIVES) == configured


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_every_row_learns(row: str, tmp_path: Path) -> None:
    line = named(row, ROWS[row])
    stats = trained(tmp_path, line)
    assert reached(stats) > line.wanted
    if line.wanted < 1:
        assert stats[0]["reward_mean"] < CHANCE + 1 / 8 * (row == "luffy")  # the expert's own reward is 1
    assert all(s["ratio_identity_gap"] == 0 for s in stats if "ratio_identity_gap" in s)
    if OBJECTIVES[row].select is not None:
        assert all(0 < s["selected_share"] <= 0.05 for s in stats if "selected_share" in s)
        assert sum("selected_share" in s for s in stats) > 12
    if row == "ppo":
        ppo_shows(stats, events(tmp_path, "update.applied"), line)


def ppo_shows(stats: Stats, updates: list[dict[str, Any]], line: Line) -> None:
    """The warm-up trains the critic alone; later it explains the returns."""
    warm = line.settings["objective.advantage.critic.warmup_steps"]
    digests = [(u["policy_digest_before"], u["policy_digest_after"]) for u in updates]
    assert all(before == after for before, after in digests[:warm])
    assert all(before != after for before, after in digests[warm : 2 * warm])
    assert [s["updates"] for s in stats[: warm + 1]] == [0.0] * warm + [2.0]
    assert stats[warm - 1]["value_loss"] < 0.5 * stats[0]["value_loss"]
    assert all(0 <= s["value_clip_share"] <= 1 and s["critic_grad_norm"] > 0 for s in stats)
    assert any(s["value_clip_share"] > 0 for s in stats)
    assert stats[0]["explained_variance"] == 0.0  # the head starts at zero
    assert all(s["explained_variance"] > 0.5 for s in stats[-8:])
    assert all("kl" in s for s in stats[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODIFIERS)
def test_what_is_put_around_a_row_shows_and_lets_it_learn(name: str, tmp_path: Path) -> None:
    modifier = MODIFIERS[name]
    stats = trained(tmp_path, modifier.line)
    assert modifier.shows(stats)
    assert reached(stats) > modifier.line.wanted
    updated = events(tmp_path, "reference.updated")
    every = modifier.line.settings.get("objective.kl.reference.every", 1)
    follows = "objective.kl.reference.type" in modifier.line.settings
    assert [e["step"] for e in updated] == (list(range(every, 25, every)) if follows else [])


@pytest.mark.slow
def test_must_fail_a_run_that_does_not_move_reaches_nothing(tmp_path: Path) -> None:
    """The stated rewards are above chance: at a learning rate that changes no weight, the same line falls short."""
    line = Line({"learner.optimizer.learning_rate": 1e-30}, row="grpo")
    stats = trained(tmp_path, line)
    digests = {e["policy_digest_after"] for e in events(tmp_path, "update.applied")}
    assert len(digests) == 1 and all(s["updates"] == 2 for s in stats)
    assert reached(stats) < CHANCE < min(each.wanted for each in ROWS.values())
