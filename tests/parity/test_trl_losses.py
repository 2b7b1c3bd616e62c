"""A translated config has TRL's loss and TRL's gradient: the same numbers through TRL 1.16.0's own code and ours.

Each row of `SAME` goes through `from_trl`, so the translation is proved together with the mathematics. Where the two
disagree on purpose: test_trl_differences.py. float64 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sibling.report.trl_settings import VERSION

trl = pytest.importorskip("trl", reason="TRL is not installed: pip install -e '.[train,test,parity]'")

pytestmark = pytest.mark.parity

REUSED: dict[str, Any] = {"num_iterations": 2}  # so that TRL asks for logp_old; the ratio is then not 1
LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
SEQUENCE: dict[str, Any] = {"importance_sampling_level": "sequence", "epsilon": 0.1, "epsilon_high": 0.15}
MODES = ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask")

SAME: dict[str, dict[str, Any]] = {
    **{f"{loss}": {"loss_type": loss} for loss in LOSSES},
    **{f"{loss} on-policy": {"loss_type": loss, "num_iterations": 1} for loss in LOSSES},
    **{f"{loss} with KL": {"loss_type": loss, "beta": 0.04} for loss in LOSSES},
    **{f"{loss} with k3": {"loss_type": loss, "beta": 0.04, "use_bias_correction_kl": False} for loss in LOSSES},
    **{f"{loss} of sequences": {"loss_type": loss, **SEQUENCE} for loss in CLIPPED},
    **{
        f"{loss} of sequences with k3": {"loss_type": loss, **SEQUENCE, "beta": 0.1, "use_bias_correction_kl": False}
        for loss in CLIPPED
    },
    **{f"{loss} with delta": {"loss_type": loss, "delta": 1.5, "epsilon_high": 0.28} for loss in CLIPPED},
    **{f"{loss}, truncated left out": {"loss_type": loss, "mask_truncated_completions": True} for loss in LOSSES},
    **{f"{loss} over batch": {"loss_type": loss, "scale_rewards": "batch"} for loss in LOSSES[:4]},
    **{f"{loss} without std": {"loss_type": loss, "scale_rewards": False} for loss in LOSSES[:4]},
    **{f"{loss} without the far": {"loss_type": loss, "off_policy_mask_threshold": 0.1} for loss in LOSSES},
    "cispo with a bound": {"loss_type": "cispo", "epsilon_high": 1.1},
    "sapo with its taus": {"loss_type": "sapo", "sapo_temperature_pos": 2.0, "sapo_temperature_neg": 3.0},
    "vespo with its numbers": {"loss_type": "vespo", "vespo_k_pos": 1.0, "vespo_lambda_neg": 0.5},
    **{
        f"{loss}, {mode}": {"loss_type": loss, "use_vllm": True, "vllm_importance_sampling_mode": mode}
        for loss in ("grpo", "dapo", "cispo", "sapo")
        for mode in MODES
    },
    "both bounds of a weight": {
        "use_vllm": True,
        "vllm_importance_sampling_mode": "token_mask",
        "vllm_importance_sampling_clip_min": 0.8,
        "vllm_importance_sampling_clip_max": 1.25,
    },
    "weights of sequences, of sequences": {"loss_type": "grpo", **SEQUENCE, "use_vllm": True},
    "vespo takes the weights in": {
        "loss_type": "vespo",
        "use_vllm": True,
        "vllm_importance_sampling_mode": "token_truncate",
    },
    "no correction": {"use_vllm": True, "vllm_importance_sampling_correction": False},
    "the far, by the sampler": {"loss_type": "grpo", "use_vllm": True, "off_policy_mask_threshold": 0.05},
}
ONE_MICRO_BATCH: dict[str, dict[str, Any]] = {
    **{f"{loss} at high entropy": {"loss_type": loss, "top_entropy_quantile": 0.3} for loss in LOSSES[:-1]},
    "dapo with an entropy bonus": {"loss_type": "dapo", "entropy_coef": 0.01},
}


def at_work(settings: dict[str, Any]) -> dict[str, Any]:
    """With TRL's default of 0.2, cispo is refused here (test_trl_differences.py)."""
    cap = {"epsilon_high": 1.5} if settings.get("loss_type") == "cispo" else {}
    return {"max_completion_length": 9, **REUSED, **cap, **settings}


def test_the_version_of_trl_is_the_one_that_was_read() -> None:
    assert trl.__version__ == VERSION


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("settings", SAME.values(), ids=SAME.keys())
def test_same_loss_and_gradient(
    settings: dict[str, Any],
    accumulate: int,
    grpo_peer: Any,
    make_case: Callable[..., Any],
    ours: Callable[..., Any],
    same: Callable[..., None],
) -> None:
    given = at_work(settings)
    for seed in (1, 2):
        case = make_case(seed)
        same(ours(case, given, micro_batches=accumulate), grpo_peer.run(case, accumulate=accumulate, **given))


@pytest.mark.parametrize("settings", ONE_MICRO_BATCH.values(), ids=ONE_MICRO_BATCH.keys())
def test_same_loss_and_gradient_in_one_micro_batch(
    settings: dict[str, Any],
    grpo_peer: Any,
    make_case: Callable[..., Any],
    ours: Callable[..., Any],
    same: Callable[..., None],
) -> None:
    given = at_work(settings)
    for seed in (1, 2):
        case = make_case(seed)
        same(ours(case, given), grpo_peer.run(case, **given))


def test_every_setting_of_the_table_matters(grpo_peer: Any, make_case: Callable[..., Any]) -> None:
    """A row whose settings changed nothing would prove nothing."""
    idle = []
    for name, settings in {**SAME, **ONE_MICRO_BATCH}.items():
        plain = {"loss_type": settings.get("loss_type", "dapo")}
        moved = False
        for seed in (1, 2):
            case = make_case(seed)
            peers = [grpo_peer.run(case, **at_work(given)) for given in (settings, plain)]
            moved = moved or peers[0].loss != peers[1].loss
        if not moved:
            idle.append(name)
    assert set(idle) == {*LOSSES, "no correction"}
