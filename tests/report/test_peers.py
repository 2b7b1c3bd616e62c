"""Each row says which settings of a peer become which part of a recipe; every fragment has to be a legal recipe.

That the losses are the same as TRL's is tests/parity's concern. The expected values were worked out from TRL 1.16.0's
and verl's source, not from what the translation wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sibling.config import load_recipe, parse_recipe
from sibling.errors import RequestError
from sibling.report.peers import Translation, complete, fragment_yaml, read_settings, translation_text
from sibling.report.trl import from_trl
from sibling.report.trl_settings import DEFAULTS as TRL
from sibling.report.verl import from_verl
from sibling.report.verl_settings import ACTOR, CORRECTION, OVERLONG, ROLLOUT
from sibling.report.verl_settings import DEFAULTS as VERL

SEVERAL = {ROLLOUT + "n": 8}  # verl's default is one completion a prompt


def at(fragment: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        fragment = fragment[int(part)] if isinstance(fragment, list) else fragment.get(part, {})
    return fragment


def lines(t: Translation) -> str:
    return "\n".join((*t.kept, *t.changed, *t.dropped))


TRL_TABLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {},
        {
            "objective.type": "dapo",
            "objective.aggregation": "token_mean",
            "objective.clip_low": 0.2,
            "objective.clip_high": 0.2,  # not the paper's 0.28
            "objective.advantage": {"type": "group", "scale": "group", "ddof": 1, "eps": 1e-4},
            "objective.kl": {},
            "objective.sampler_correction": {},
            "sampling.group_size": 8,
            "sampling.prompts_per_step": 1,
            "sampling.max_tokens": 512,
            "learner.passes": 1,
            "learner.minibatches": 1,
            "learner.optimizer.learning_rate": 1e-6,
            "learner.optimizer.schedule": "linear",
            "learner.optimizer.betas": [0.9, 0.999],
            "seed": 42,
        },
    ),
    ({"loss_type": "grpo"}, {"objective.type": "grpo", "objective.aggregation": "seq_mean_token_mean"}),
    ({"loss_type": "bnpo"}, {"objective.type": "local_mean", "objective.aggregation": "micro_token_mean"}),
    (
        {"loss_type": "dr_grpo", "max_completion_length": 300},
        {
            "objective.type": "grpo",  # Dr. GRPO has no std
            "objective.aggregation": "token_sum_norm",
            "objective.constant": 300,
            "objective.advantage.scale": "group",
        },
    ),
    (
        {"loss_type": "dr_grpo", "scale_rewards": False},
        {"objective.type": "dr_grpo", "objective.advantage.scale": "none", "objective.constant": 512},
    ),
    ({"scale_rewards": True}, {"objective.advantage.scale": "group"}),
    ({"scale_rewards": "batch"}, {"objective.advantage.scale": "batch"}),
    ({"loss_type": "cispo", "epsilon_high": 5.0}, {"objective.ratio_max": 5.0, "objective.ratio_min": None}),
    ({"loss_type": "cispo"}, {"objective.type": "cispo", "objective.ratio_max": {}}),
    (
        {"loss_type": "sapo", "sapo_temperature_neg": 2.0},
        {"objective.tau_positive": 1.0, "objective.tau_negative": 2.0},
    ),
    ({"loss_type": "vespo", "vespo_k_neg": 4}, {"objective.k_positive": 2.0, "objective.k_negative": 4}),
    ({"loss_type": "luspo"}, {"objective.type": "grpo", "objective.aggregation": "seq_mean_token_sum"}),
    ({"loss_type": "luspo", "importance_sampling_level": "sequence"}, {"objective.type": "luspo"}),
    (
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
        {"objective.type": "gspo", "objective.clip_low": 3e-4, "objective.clip_high": 4e-4},
    ),
    ({"importance_sampling_level": "sequence"}, {"objective.type": "gspo", "objective.aggregation": "token_mean"}),
    ({"epsilon_high": 0.28, "delta": 4.0}, {"objective.clip_high": 0.28, "objective.dual_clip": 4.0}),
    ({"multi_objective_aggregation": "normalize_then_sum"}, {"objective.advantage.type": "gdpo"}),
    ({"beta": 0.04}, {"objective.kl": {"beta": 0.04, "placement": "loss", "estimator": "k3_is"}}),
    ({"beta": 0.04, "use_bias_correction_kl": False}, {"objective.kl.estimator": "k3"}),
    (
        {"beta": 0.1, "sync_ref_model": True},
        {"objective.kl.reference": {"type": "ema", "every": 512, "decay": 0.4}},
    ),
    (
        {"beta": 0.1, "sync_ref_model": True, "ref_model_mixup_alpha": 1.0, "num_iterations": 2},
        {"objective.kl.reference": {"type": "refresh", "every": 256}},
    ),
    ({"off_policy_mask_threshold": 0.5}, {"objective.off_policy_mask": {"delta": 0.5}}),
    ({"top_entropy_quantile": 0.2}, {"objective.entropy_mask": {"keep_top": 0.2}}),
    ({"entropy_coef": 0.01}, {"objective.entropy_bonus": {"coefficient": 0.01}}),
    (
        {"use_adaptive_entropy": True},
        {"objective.entropy_bonus": {"coefficient": 0.0, "target": 0.2, "change": 0.005}},
    ),
    (
        {"use_vllm": True},
        {"objective.sampler_correction": {"level": "sequence", "action": "mask", "max": 3.0, "min": None}},
    ),
    (
        {
            "use_vllm": True,
            "vllm_importance_sampling_mode": "token_truncate",
            "vllm_importance_sampling_clip_max": None,
            "vllm_importance_sampling_clip_min": 0.5,
        },
        {"objective.sampler_correction": {"level": "token", "action": "truncate", "max": None, "min": 0.5}},
    ),
    ({"use_vllm": True, "vllm_importance_sampling_cap": 2.0}, {"objective.sampler_correction.max": 2.0}),
    ({"use_vllm": True, "vllm_importance_sampling_correction": False}, {"objective.sampler_correction": {}}),
    ({"mask_truncated_completions": True}, {"filters.mask_truncated": True}),
    ({"reward_weights": [1, 0.5]}, {"rewards.1.weight": 0.5, "rewards.1.signature": "trl"}),
    (
        {"per_device_train_batch_size": 16, "gradient_accumulation_steps": 4, "num_iterations": 3, "max_steps": 30},
        {"sampling.prompts_per_step": 8, "learner.passes": 3, "learner.minibatches": 1, "steps": 10},
    ),
    (
        {"per_device_train_batch_size": 16, "steps_per_generation": 4, "max_steps": 30},
        {"sampling.prompts_per_step": 8, "learner.minibatches": 4, "steps": 8},
    ),
    ({"generation_batch_size": 64}, {"sampling.prompts_per_step": 8, "learner.minibatches": 8}),
    ({"steps_per_generation": 4}, {"sampling.prompts_per_step": 4, "learner.minibatches": 4}),
    ({"steps_per_generation": 4, "num_generations": 16}, {"sampling.prompts_per_step": 2, "learner.minibatches": 2}),
    ({"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 10}, {"learner.optimizer.warmup_steps": 10}),
    ({"bf16": False}, {"learner.compute_dtype": "float32"}),
    ({"learning_rate": "2e-6"}, {"learner.optimizer.learning_rate": 2e-6}),
    ({"model_name_or_path": "owner/name"}, {"model": {"type": "hub", "id": "owner/name"}}),
    ({"use_peft": True, "lora_r": 8}, {"learner.finetune": {"type": "lora", "rank": 8, "alpha": 32}}),
    (
        {"normalize_advantages": False},
        {
            "objective.type": "rloo_clip",
            "objective.kl": {"beta": 0.05, "placement": "reward"},
            "sampling.group_size": 2,
            "sampling.prompts_per_step": 4,
        },
    ),
]

VERL_TABLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {},
        {
            "objective.type": "ppo",
            "objective.advantage.lam": 1.0,
            "objective.advantage.critic": {"learning_rate": 1e-5, "value_clip": 0.5, "warmup_steps": 0},
            "objective.dual_clip": 3.0,
            "objective.log_ratio_clamp": 20.0,
            "objective.kl": {},
            "sampling.prompts_per_step": 1024,
            "sampling.group_size": 1,
            "learner.minibatches": 4,
            "learner.optimizer.weight_decay": 0.01,
        },
    ),
    (
        {"algorithm.adv_estimator": "grpo", **SEVERAL},
        {
            "objective.type": "dapo",
            "objective.aggregation": "token_mean",
            "objective.clip_high": 0.2,
            "objective.advantage": {"type": "group", "scale": "group", "ddof": 1, "eps": 1e-6},
        },
    ),
    (
        {
            "algorithm": {"adv_estimator": "grpo", "norm_adv_by_std_in_grpo": False},
            "actor_rollout_ref": {
                "actor": {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": 3000},
                "rollout": {"n": 8},
            },
        },
        {
            "objective.type": "dr_grpo",
            "objective.aggregation": "token_sum_norm",
            "objective.constant": 3000,
            "objective.advantage.scale": "none",
        },
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "loss_agg_mode": "token-sum", **SEVERAL},
        {"objective.aggregation": "constant", "objective.constant": 1},
    ),
    (
        {"algorithm.adv_estimator": "reinforce_plus_plus", "algorithm.use_kl_in_reward": True},
        {
            "objective.type": "reinforce_pp",
            "objective.advantage.ddof": 1,
            "objective.kl": {"beta": 0.001, "placement": "reward"},
        },
    ),
    (
        {"algorithm.use_kl_in_reward": True, "algorithm.kl_ctrl.type": "adaptive"},
        {"objective.kl.adaptive": {"target": 0.1, "horizon": 10000}},
    ),
    (
        {"algorithm.adv_estimator": "reinforce_plus_plus_baseline", **SEVERAL},
        {"objective.type": "reinforce_pp_baseline"},
    ),
    ({"algorithm.adv_estimator": "rloo", **SEVERAL}, {"objective.advantage": {"type": "rloo"}}),
    (
        {"algorithm.adv_estimator": "grpo_passk", **SEVERAL},
        {"objective.advantage.type": "best", "objective.advantage.scale": "group"},
    ),
    (
        {"algorithm.adv_estimator": "gpg", ACTOR + "policy_loss.loss_mode": "gpg", **SEVERAL},
        {"objective.type": "gpg", "objective.advantage.type": "gpg"},
    ),
    (
        {
            "algorithm.adv_estimator": "grpo",
            ACTOR + "policy_loss.loss_mode": "gspo",
            ACTOR + "clip_ratio_low": 3e-4,
            ACTOR + "clip_ratio_high": 4e-4,
            **SEVERAL,
        },
        {
            "objective.type": "gspo_token",
            "objective.aggregation": "seq_mean_token_mean",
            "objective.clip_low": 3e-4,
            "objective.clip_high": 4e-4,
            "objective.dual_clip": {},
        },
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "policy_loss.loss_mode": "cispo", **SEVERAL},
        {"objective.ratio_min": 0.8, "objective.ratio_max": 1.2},
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "policy_loss.loss_mode": "sapo", **SEVERAL},
        {"objective.tau_negative": 1.05, "objective.aggregation": "seq_mean_token_mean"},
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "policy_loss.loss_mode": "dppo_tv", **SEVERAL},
        {"objective.delta_low": 0.2, "objective.ratio_cap": 3.0},
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "policy_loss.loss_mode": "kl_cov", **SEVERAL},
        {"objective.share": 0.0002, "objective.coefficient": 0.1},
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "policy_loss.loss_mode": "clip_cov", **SEVERAL},
        {"objective.share": 0.0002, "objective.score_low": 1.0, "objective.score_high": 5.0},
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "policy_loss.loss_mode": "geo_mean", **SEVERAL},
        {"objective.type": "gmpo", "objective.clip_low": 0.2},
    ),
    (
        {"algorithm.adv_estimator": "grpo", ACTOR + "use_kl_loss": True, ACTOR + "kl_loss_type": "k3+", **SEVERAL},
        {"objective.kl": {"beta": 0.001, "placement": "loss", "estimator": "k3_st"}},
    ),
    (
        {CORRECTION + "rollout_is": "token"},
        {"objective.sampler_correction": {"level": "token", "action": "truncate", "min": None, "max": 2.0}},
    ),
    (
        {CORRECTION + "rollout_is": "sequence", CORRECTION + "rollout_is_threshold": "0.5_5.0"},
        {"objective.sampler_correction": {"level": "sequence", "action": "mask", "min": 0.5, "max": 5.0}},
    ),
    (
        {
            "algorithm.adv_estimator": "grpo",
            "algorithm.filter_groups.enable": True,
            "algorithm.filter_groups.max_num_gen_batches": 10,
            **SEVERAL,
        },
        {"filters.dynamic_sampling": {"enabled": True, "max_rounds": 10}},
    ),
    (
        {"+" + OVERLONG + "enable": True, "+" + OVERLONG + "len": 100},
        {"rewards": [{"type": "overlong", "cache": 100, "weight": 1.0}]},
    ),
    ({"trainer.total_training_steps": 50}, {"steps": 50}),
    (
        {"data": {"max_response_length": "${data.max_prompt_length}", "max_prompt_length": 99}},
        {"sampling.max_tokens": 99},
    ),
    ({"data.max_response_length": "${oc.select:nowhere.at_all,77}"}, {"sampling.max_tokens": 77}),
    ({"data.max_response_length": "${oc.env:HOME}"}, {"sampling.max_tokens": 512}),
    ({ACTOR + "optim.lr": "5e-7"}, {"learner.optimizer.learning_rate": 5e-7}),
]

BOTH = [
    *((from_trl, given, wanted) for given, wanted in TRL_TABLE),
    *((from_verl, given, wanted) for given, wanted in VERL_TABLE),
]


@pytest.mark.parametrize(
    ("translate", "given", "wanted"), BOTH, ids=lambda v: str(v)[:60] if isinstance(v, dict) else ""
)
def test_settings_become_this_part_of_a_recipe(
    translate: Callable[..., Translation], given: dict[str, Any], wanted: dict[str, Any]
) -> None:
    t = translate(given)
    assert {key: at(t.recipe_fragment, key) for key in wanted} == wanted
    parse_recipe(complete(t.recipe_fragment))
    assert not [x for x in t.dropped if "refuses" in x]


DROPPED = [
    (from_trl, {"epsilonn": 0.1}, "epsilonn: TRL 1.16.0 GRPOConfig has no such setting; did you mean 'epsilon'?"),
    (from_trl, {"loss_type": "dapoo"}, "did you mean 'dapo'?"),
    (from_trl, {"logging_steps": 5, "output_dir": "x"}, "see to it in the recipe: logging_steps, output_dir"),
    (from_trl, {"vespo_k_pos": 1.0}, "without effect in TRL 1.16.0 GRPOConfig with these settings: vespo_k_pos"),
    (from_trl, {"delta": 1.1}, "delta 1.1: TRL caps the ratio before the clip"),
    (from_trl, {"delta": 4.0, "importance_sampling_level": "sequence"}, "delta 4.0: a ratio of the sequence"),
    (from_trl, {"loss_type": "cispo", "importance_sampling_level": "sequence"}, "importance_sampling_level sequence"),
    (from_trl, {"loss_type": "cispo"}, "epsilon 0.2 (the default): with cispo TRL takes it as the cap"),
    (from_trl, {"top_entropy_quantile": 0.0}, "top_entropy_quantile 0.0"),
    (from_trl, {"repetition_penalty": 1.1}, "repetition_penalty 1.1"),
    (from_trl, {"fp16": True}, "fp16 true: float16"),
    (from_trl, {"optim": "adafactor"}, "optim adafactor: the optimizer is AdamW"),
    (from_trl, {"warmup_steps": 0.1}, "warmup_steps 0.1: a share"),
    (from_trl, {"normalize_advantages": True}, "normalize_advantages true: leave-one-out"),
    (from_trl, {"use_adaptive_entropy": True, "entropy_coef_max": 0.1}, "entropy_coef_max 0.1"),
    (from_trl, {}, "num_train_epochs 3.0 (the default): a recipe counts rollout steps; set steps"),
    (
        from_verl,
        {"algorithm.adv_estimator": "remax", **SEVERAL},
        "algorithm.adv_estimator remax: there is no like here",
    ),
    (from_verl, {ACTOR + "policy_loss.loss_mode": "dro"}, "policy_loss.loss_mode dro: there is no like here"),
    (from_verl, {ACTOR + "clip_ratio": 0.1}, "clip_ratio 0.1: verl does not read it"),
    (from_verl, {"algorithm.adv_estimatr": 1}, "did you mean 'algorithm.adv_estimator'?"),
    (from_verl, {"data.train_batchsize": 1}, "did you mean 'data.train_batch_size'?"),
    (from_verl, {"trainer": {"n_gpus_per_node": 8}}, "see to it in the recipe: trainer.n_gpus_per_node"),
    (from_verl, {"nonsense": 1}, "nonsense: verl of 2026-08-22 has no such setting"),
    (from_verl, {CORRECTION + "bypass_mode": True}, "bypass_mode true"),
    (from_verl, {CORRECTION + "rollout_rs": "token_k1"}, "takes rejected tokens out of the mask"),
    (from_verl, {ACTOR + "use_kl_loss": True, "algorithm.use_kl_in_reward": True}, "a recipe has one KL penalty"),
    (from_verl, {ACTOR + "use_kl_loss": True, ACTOR + "kl_loss_type": "abs"}, "the fragment has k3 in its place"),
]


@pytest.mark.parametrize(("translate", "given", "said"), DROPPED, ids=lambda v: getattr(v, "__name__", str(v))[:60])
def test_what_cannot_be_kept_is_said(translate: Callable[..., Translation], given: dict[str, Any], said: str) -> None:
    assert said in "\n".join(translate(given).dropped)


CHANGED = [
    (from_trl, {"loss_type": "dr_grpo"}, "keeps the std unless scale_rewards is none"),
    (from_trl, {"steps_per_generation": 4}, "TRL divides by their average token count"),
    (from_trl, {"steps_per_generation": 4, "num_generations": 16}, "2 groups are never split here"),
    (from_trl, {"beta": 0.1, "importance_sampling_level": "sequence"}, "TRL the ratio of the sequence"),
    (from_trl, {"loss_type": "bnpo"}, "learner.micro_batch_tokens"),
    (from_trl, {"top_p": 0.9}, "the learner's log-probs see it too"),
    (from_trl, {}, "bf16 is on by default"),
    (from_verl, {ACTOR + "use_kl_loss": True}, "verl clamps it at 10"),
    (from_verl, {"algorithm.adv_estimator": "gpg", **SEVERAL}, "with a reward other than 0"),
    (from_verl, {"algorithm.filter_groups.enable": True}, "no limit in verl"),
    (from_verl, {ACTOR + "loss_agg_mode": "seq-mean-token-sum-norm"}, "the padded width"),
    (from_verl, {"data.train_batch_size": 10, ACTOR + "ppo_mini_batch_size": 4}, "do not divide"),
]


@pytest.mark.parametrize(("translate", "given", "said"), CHANGED, ids=lambda v: getattr(v, "__name__", str(v))[:60])
def test_another_meaning_is_said(translate: Callable[..., Translation], given: dict[str, Any], said: str) -> None:
    assert said in "\n".join(translate(given).changed)


@pytest.mark.parametrize(("translate", "known"), [(from_trl, TRL), (from_verl, VERL)])
def test_every_setting_given_is_accounted_for(translate: Callable[..., Translation], known: dict[str, Any]) -> None:
    silent = [name for name, value in known.items() if name not in lines(translate({name: value or None}))]
    assert silent == []
    assert translate(dict(known)).recipe_fragment == translate({}).recipe_fragment


def test_a_value_without_a_like_is_never_called_kept() -> None:
    translation = from_trl({"loss_type": "grop"})
    assert not [line for line in (*translation.kept, *translation.changed) if "grop" in line]
    assert any("did you mean 'grpo'?" in line for line in translation.dropped)
    assert "in place of loss_type the fragment has objective.type dapo" in translation.dropped


def test_a_combination_that_is_refused_is_reported_and_not_raised() -> None:
    t = from_trl({"beta": 0.1, "top_p": 0.9})
    assert [x for x in t.dropped if "sibling refuses the fragment" in x and "truncated sampling with KL" in x]
    t = from_verl({"algorithm.adv_estimator": "grpo"})  # one completion a prompt: every advantage is 0
    assert [x for x in t.dropped if x.startswith("as it stands, sibling refuses the fragment:") and "group_size" in x]


WRONG = [
    (from_trl, {"epsilon": "wide"}, "epsilon"),
    (from_trl, {"num_generations": 2.5}, "num_generations"),
    (from_trl, {"num_iterations": True}, "num_iterations"),
    (from_trl, {"num_iterations": 0}, "num_iterations"),
    (from_trl, {"use_vllm": "yes"}, "use_vllm"),
    (from_trl, {"scale_rewards": "some"}, "scale_rewards"),
    (from_trl, {"reward_weights": "1, 2"}, "reward_weights"),
    (from_trl, {"generation_batch_size": 8, "steps_per_generation": 1}, "not both"),
    (from_verl, {"algorithm": 3}, "algorithm"),
    (from_verl, {ROLLOUT + "n": "many"}, "rollout.n"),
    (from_verl, {CORRECTION + "rollout_is": "token", CORRECTION + "rollout_is_threshold": "a_b"}, "threshold"),
    (from_verl, {ACTOR + "optim.betas": 0.9}, "betas"),
]


@pytest.mark.parametrize(("translate", "given", "named"), WRONG, ids=lambda v: getattr(v, "__name__", str(v))[:60])
def test_a_value_of_another_type_is_an_error(
    translate: Callable[..., Translation], given: dict[str, Any], named: str
) -> None:
    with pytest.raises(RequestError, match=named):
        translate(given)


def test_two_settings_that_refer_to_each_other_end() -> None:
    given = {
        "data.max_prompt_length": "${data.max_response_length}",
        "data.max_response_length": "${data.max_prompt_length}",
    }
    assert at(from_verl(given).recipe_fragment, "sampling.max_tokens") == 512


@pytest.mark.parametrize("translate", [from_trl, from_verl])
def test_the_fragment_is_a_recipe_once_the_rest_is_added(translate: Callable[..., Translation], tmp_path: Path) -> None:
    t = translate({})
    assert t.missing == ("steps", "task", "rewards")
    text = fragment_yaml(t)
    assert "# To be a recipe it needs: steps, task, rewards." in text
    file = tmp_path / "translated.yaml"
    file.write_text(text + "steps: 3\ntask: {type: arithmetic}\nrewards: [{type: final_number}]\n")
    recipe = load_recipe(file)
    assert recipe.resolved()["objective"] == parse_recipe(complete(t.recipe_fragment)).resolved()["objective"]
    assert recipe.steps == 3


def test_the_text_has_the_fragment_and_the_three_lists() -> None:
    text = translation_text(from_trl({"loss_type": "grpo", "top_p": 0.9, "epsilonn": 1}), width=80)
    fragment = text.split("\nKept:")[0]
    assert yaml.safe_load(fragment)["objective"]["type"] == "grpo"
    assert text.index("\nKept:") < text.index("\nKept with another meaning:") < text.index("\nNot kept:")
    assert max(len(line) for line in text.splitlines()) <= 80


def test_control_characters_of_a_setting_do_not_reach_the_screen() -> None:
    ours = {"loss_type": "\x1b[2J", "\x1b[31m": 1, "model_name_or_path": "a\x1b[2J\u202eb"}
    theirs = {"trainer.\x1b[31m": 1, "actor_rollout_ref.model.path": "a\x1b\nb"}
    for text in (translation_text(from_trl(ours)), translation_text(from_verl(theirs))):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_settings_are_read_from_json_and_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"loss_type": "grpo"}))
    (tmp_path / "a.yaml").write_text("algorithm:\n  adv_estimator: grpo\n")
    assert read_settings(tmp_path / "a.json") == {"loss_type": "grpo"}
    assert read_settings(tmp_path / "a.yaml") == {"algorithm": {"adv_estimator": "grpo"}}


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", "{"), ("a.json", "[1]"), ("a.yaml", "a: [1"), ("a.yaml", "- 1"), ("absent.json", None)],
)
def test_a_file_without_settings_is_an_error(name: str, text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(RequestError, match=r"settings in"):
        read_settings(tmp_path / name)
