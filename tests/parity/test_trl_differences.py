"""Advantages, RLOOTrainer, and where TRL 1.16.0 and we disagree on purpose: the reason, and how far apart we are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sibling.report.trl import from_trl
from sibling.report.trl_settings import DEFAULTS, MODEL_DEFAULTS, OUTSIDE, RLOO_DEFAULTS

trl = pytest.importorskip("trl", reason="TRL is not installed: pip install -e '.[train,test,parity]'")

pytestmark = pytest.mark.parity

OURS = Callable[..., Any]
REUSED: dict[str, Any] = {"num_iterations": 2}  # so that TRL asks for logp_old; the ratio is then not 1

DIFFERENT = {
    "dapo over several optimizer steps": "TRL divides every step by the average token count of a generation's steps, "
    "we by the step's own: our token mean is exact whatever the lengths",
    "delta inside the clip": "TRL caps the ratio before the clip, so a small delta acts on positive advantages too; a "
    "dual clip bounds negative ones only, and the translation drops such a delta",
    "cispo with the default bound": "TRL caps the ratio at epsilon, 0.2, when epsilon_high is null: every weight is "
    "0.2 or less, so the gradient shrinks; here a cap below 1 is refused, and the translation takes 5",
    "entropy mask in VESPO": "TRL leaves single tokens out of a term weighted by the whole sequence; refused here",
    "KL of a sequence": "TRL multiplies the token KL by the ratio of the sequence; k3_is has the token's, the only one "
    "with the gradient of the KL",
    "quantile of a micro-batch": "TRL takes the entropy quantile over a micro-batch, we over the optimizer step",
    "entropy bonus": "TRL averages the entropy over a micro-batch's tokens, we with the objective's own weights",
    "a token the sampler did not score": "in the off-policy mask TRL counts it as no drift, we compare with pi_old",
    "equal rewards in float32": "TRL's advantages are rounding noise over 1e-4, ours exactly 0",
    "RLOO without tokens": "TRL adds -A / N for a completion without tokens (ratio 1), we 0; no gradient either way",
}


def reason(name: str) -> str:
    return f"{name}: {DIFFERENT[name]}"


# ----------------------------------------------------------------------------------------- agreements


@pytest.mark.parametrize("how", ["sum_then_normalize", "normalize_then_sum"])
@pytest.mark.parametrize("missing", [False, True])
def test_several_rewards(
    how: str, missing: bool, grpo_peer: Any, make_case: OURS, ours: OURS, same: Callable[..., None]
) -> None:
    case = make_case(3, rewards=3)
    if missing:
        case.reward[[0, 5], [1, 2]] = np.nan  # one reward of two completions
        case.reward[7] = np.nan  # all rewards of one
        case.reward[8:11] = np.nan  # one score left in the last group
    given = {"multi_objective_aggregation": how, "reward_weights": [1.0, 0.5, 2.0], **REUSED}
    same(ours(case, given), grpo_peer.run(case, **given))


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_missing_and_equal_rewards(
    scale: str, grpo_peer: Any, make_case: OURS, ours: OURS, same: Callable[..., None]
) -> None:
    case = make_case(4)
    case.reward[[1, 9]] = np.nan
    case.reward[4:8] = 0.5
    given = {"scale_rewards": scale, **REUSED}
    same(ours(case, given), grpo_peer.run(case, **given))


@pytest.mark.parametrize("beta", [0.0, 0.05])
@pytest.mark.parametrize("missing", [False, True])
def test_rloo_trainer(
    beta: float, missing: bool, rloo_peer: Any, make_case: OURS, ours: OURS, same: Callable[..., None]
) -> None:
    case = make_case(5, tools=False)
    if missing:
        case.reward[[2, 8, 9, 10]] = np.nan
    given = {"beta": beta, "epsilon": 0.3, "normalize_advantages": False, **REUSED}
    same(ours(case, given), rloo_peer.run(case, **given))


# -------------------------------------------------------------------------------------- disagreements


def test_dapo_over_several_optimizer_steps(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case, given = make_case(6), dict(REUSED)
    peer = grpo_peer.run(case, steps=2, accumulate=1, **given)
    mask = case.mask()
    average = float(mask.sum()) / 2
    for rows in (slice(0, 6), slice(6, 12)):
        mine, count = ours(case, given, rows=rows), float(mask[rows].sum())
        assert count != average, reason("dapo over several optimizer steps")
        expected = mine.grad[rows].numpy() * count / average
        np.testing.assert_allclose(peer.grad[rows].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_delta_inside_the_clip(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case, given = make_case(6), {"delta": 1.1, "epsilon_high": 0.4, **REUSED}
    assert any(x.startswith("delta 1.1") for x in from_trl(given).dropped)
    apart = (grpo_peer.run(case, **given).grad - ours(case, given).grad).abs() > 1e-9
    ratio = (case.logp_new - case.logp_old).exp()
    positive = torch.tensor(ours(case, given).advantages)[:, None] > 0
    assert (apart & positive & (ratio > 1.1)).any(), reason("delta inside the clip")
    assert not (apart & (ratio <= 1.1)).any()


def test_cispo_with_the_default_bound(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case, given = make_case(6), {"loss_type": "cispo"}  # on-policy: every ratio is 1
    assert any(x.startswith("epsilon 0.2 (the default)") for x in from_trl(given).dropped)
    peer, mine = grpo_peer.run(case, **given), ours(case, given)
    np.testing.assert_allclose(peer.grad.numpy(), 0.2 * mine.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_entropy_mask_in_vespo(grpo_peer: Any, make_case: OURS) -> None:
    given = {"loss_type": "vespo", "top_entropy_quantile": 0.3}
    assert any("sibling refuses the fragment" in x for x in from_trl(given).dropped)
    share = float((grpo_peer.run(make_case(6), **given).grad != 0).double().mean())
    assert 0 < share < 0.4, reason("entropy mask in VESPO")


def test_kl_of_a_sequence(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case, given = make_case(6), {"loss_type": "grpo", "importance_sampling_level": "sequence", "beta": 0.1}
    peer, mine = grpo_peer.run(case, **given, **REUSED), ours(case, {**given, **REUSED})
    assert abs(peer.loss - mine.loss) > 1e-4, reason("KL of a sequence")
    # On-policy both ratios are 1: the values agree, the gradients do not, for d s / d logp is 1 / T_i.
    peer, mine = grpo_peer.run(case, **given), ours(case, given)
    assert peer.loss == pytest.approx(mine.loss, rel=1e-9)
    assert float((peer.grad - mine.grad).abs().max()) > 1e-4


def test_quantile_of_a_micro_batch(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case, given = make_case(3), {"loss_type": "grpo", "top_entropy_quantile": 0.3, **REUSED}
    peer, mine = grpo_peer.run(case, accumulate=2, **given), ours(case, given)
    unequal = (peer.grad == 0) != (mine.grad == 0)
    assert unequal.any(), reason("quantile of a micro-batch")
    np.testing.assert_allclose(peer.grad[~unequal].numpy(), mine.grad[~unequal].numpy(), rtol=1e-9, atol=1e-12)


def test_entropy_bonus(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case, given = make_case(6), {"loss_type": "grpo", "entropy_coef": 0.05, **REUSED}
    mask = case.mask()
    plain = grpo_peer.run(case, **{**given, "entropy_coef": 0.0}).loss
    assert grpo_peer.run(case, **given).loss == pytest.approx(plain - 0.05 * float(case.entropy[mask].mean()))
    each = (case.entropy * mask).sum(1) / mask.sum(1).clamp(min=1)
    assert ours(case, given).loss == pytest.approx(plain - 0.05 * float(each.mean())), reason("entropy bonus")


def test_a_token_the_sampler_did_not_score(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    given = {
        "loss_type": "grpo",
        "use_vllm": True,
        "vllm_importance_sampling_mode": "token_truncate",
        "off_policy_mask_threshold": 0.2,
    }
    apart = []
    for seed in range(8):
        case = make_case(seed)
        case.logp_sampler[:, :4] = np.nan
        apart.append(abs(grpo_peer.run(case, **given).loss - ours(case, given).loss))
    assert min(apart) < 1e-12  # the weights agree: 1 where the sampler reported nothing
    assert max(apart) > 1e-4, reason("a token the sampler did not score")


def test_equal_rewards_in_float32(grpo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case = dataclasses.replace(make_case(7, prompts=1, size=8), reward=np.full((8, 1), 0.7, dtype=np.float32))
    theirs = grpo_peer.run(case, **REUSED).advantages
    assert 0 < np.abs(theirs).max() < 1e-2, reason("equal rewards in float32")
    assert (ours(dataclasses.replace(case, reward=case.reward.astype(np.float64)), REUSED).advantages == 0).all()


def test_rloo_without_tokens(rloo_peer: Any, make_case: OURS, ours: OURS) -> None:
    case = make_case(5, tools=False)
    given = {"beta": 0.0, "mask_truncated_completions": True, "normalize_advantages": False, **REUSED}
    peer, mine = rloo_peer.run(case, **given), ours(case, given)
    np.testing.assert_allclose(peer.grad.numpy(), mine.grad.numpy(), rtol=1e-9, atol=1e-12)
    extra = -sum(a for a, cut in zip(mine.advantages, case.truncated, strict=True) if cut) / len(case.length)
    assert abs(extra) > 1e-4, reason("RLOO without tokens")
    assert peer.loss == pytest.approx(mine.loss + extra)


# ------------------------------------------------------------------------------------------- defaults


def fields(config: Any) -> dict[str, Any]:
    absent = dataclasses.MISSING
    return {f.name: f.default for f in dataclasses.fields(config) if f.default is not absent} | {
        f.name: None for f in dataclasses.fields(config) if f.default is absent
    }


@pytest.mark.parametrize(
    ("config", "written"),
    [("GRPOConfig", DEFAULTS), ("RLOOConfig", RLOO_DEFAULTS), ("ModelConfig", MODEL_DEFAULTS)],
)
def test_the_defaults_are_those_of_trl(config: str, written: dict[str, Any]) -> None:
    theirs = fields(getattr(trl, config))
    assert {name: value or None for name, value in written.items()} == {n: theirs[n] or None for n in written}


@pytest.mark.parametrize("config", ["GRPOConfig", "RLOOConfig", "ModelConfig", "ScriptArguments"])
def test_every_setting_of_trl_is_known(config: str) -> None:
    known = {*DEFAULTS, *RLOO_DEFAULTS, *MODEL_DEFAULTS, *OUTSIDE}
    assert sorted(set(fields(getattr(trl, config))) - known) == []


def test_no_setting_is_known_that_trl_lacks() -> None:
    theirs = {
        n for c in ("GRPOConfig", "RLOOConfig", "ModelConfig", "ScriptArguments") for n in fields(getattr(trl, c))
    }
    scripts = {
        "reward_model_name_or_path",
        "reward_funcs",
        "datasets",
    }  # of the scripts `trl grpo` and `trl rloo` themselves
    assert sorted({*DEFAULTS, *RLOO_DEFAULTS, *MODEL_DEFAULTS, *OUTSIDE} - theirs - scripts) == []
