"""Every golden case passes, and every case misses once anything about its objective is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from golden_file import document, only, policy_cases, row, setting

from sibling.errors import RequestError
from sibling.maths import golden_batch, golden_kinds, golden_loss
from sibling.maths.golden import KINDS, check_cases
from sibling.maths.kl import k2
from sibling.maths.objectives import OBJECTIVES

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@DTYPES
def test_every_case_passes(dtype):
    results = check_cases(document(), dtype)
    assert len(results) == 82
    assert [(r.id, r.detail) for r in results if r.status != "pass"] == []
    assert {r.kind for r in results} == set(KINDS)
    first = document()["cases"][0]
    assert (results[0].id, results[0].title) == (first["id"], first["title"])


def whitening(**values):
    return lambda case: case["advantage"]["whiten"].update(values)


MEAN_ONLY = {"estimator": "grpo", "scale": "none", "ddof": 1, "eps": 0.0}

# Each line asks for another objective than the one the expected numbers belong to.
WRONG = {
    # advantages
    "std divides by G": ("obj-004", setting("advantage", ddof=0)),
    "std divides by G - 1": ("obj-003", setting("advantage", ddof=1)),
    "another epsilon": ("obj-004", setting("advantage", eps=1e-4)),
    "no std": ("obj-001", setting("advantage", scale="none")),
    "group std for batch std": ("obj-014", setting("advantage", scale="group")),
    "batch std for none": ("obj-012", setting("advantage", scale="batch")),
    "missing reward as 0": ("obj-017", lambda c: [s.update(reward=s["reward"] or 0.0) for s in c["sequences"]]),
    "reward weights ignored": ("obj-018", setting("advantage", reward_weights=None)),
    "no soft punishment": ("obj-009", lambda c: c["advantage"].pop("overlong")),
    "longer budget": ("obj-009", lambda c: c["advantage"]["overlong"].update(max_len=11)),
    "shorter cache": ("obj-009", lambda c: c["advantage"]["overlong"].update(cache=2)),
    "group mean for leave one out": ("obj-033", setting("advantage", estimator="grpo", scale="none", ddof=1, eps=0.0)),
    "leave one out for group mean": ("obj-012", lambda c: c.update(advantage={"estimator": "rloo"})),
    "no KL in the reward": ("obj-032", lambda c: c["advantage"].pop("kl_in_reward")),
    "half the KL in the reward": ("obj-032", lambda c: c["advantage"]["kl_in_reward"].update(beta=0.025)),
    "a baseline for reinforce": ("obj-034", setting("advantage", estimator="rloo")),
    "no baseline for rloo": ("obj-032", setting("advantage", estimator="reinforce")),
    "KL at tokens left out": ("obj-035", lambda c: c["advantage"].pop("kl_in_reward")),
    "discount ignored": ("obj-036", setting("advantage", gamma=1.0)),
    "whitened with n - 1": ("obj-035", whitening(ddof=1)),
    "whitened over sequences": ("obj-037", whitening(over="sequences")),
    "whitened over tokens": ("obj-038", whitening(over="tokens")),
    "eps inside the root": ("obj-038", lambda c: c["advantage"]["whiten"].update(eps=0.01, eps_mode="inside_var")),
    "no whitening": ("obj-037", lambda c: c["advantage"].pop("whiten")),
    "no group baseline": ("obj-037", setting("advantage", estimator="reinforce_pp")),
    "a group baseline": ("obj-035", setting("advantage", estimator="reinforce_pp_baseline")),
    "dead groups not counted": ("obj-039", lambda c: c.update(advantage=MEAN_ONLY)),
    "another divisor": ("obj-039", setting("advantage", f_norm=2.0)),
    "plain mean for the length-weighted": ("obj-040", lambda c: c.update(advantage={"estimator": "rloo"})),
    "maxrl with an epsilon": ("obj-056", setting("advantage", eps=0.1)),
    "maxrl without its mean below": ("obj-056", lambda c: c.update(advantage={"estimator": "rloo"})),
    "gdpo with n": ("obj-057", setting("advantage", ddof=0)),
    "gdpo weights": ("obj-057", setting("advantage", reward_weights=[1.0, 0.5])),
    "gdpo missing as 0": (
        "obj-058",
        lambda c: [s.update(reward=[x or 0.0 for x in s["reward"]]) for s in c["sequences"]],
    ),
    "gdpo as one sum": ("obj-057", setting("advantage", estimator="grpo", scale="group")),
    "pass@3 for pass@2": ("obj-059", setting("advantage", k=3)),
    "pass@1 for pass@2": ("obj-060", setting("advantage", k=1)),
    "closed form for unbiased": ("obj-060", setting("advantage", estimator="passk_analytic")),
    "unbiased for closed form": ("obj-059", setting("advantage", estimator="pkpo")),
    "best over the std": ("obj-061", setting("advantage", scale="group", eps=1e-6)),
    "mean for best": ("obj-061", setting("advantage", estimator="grpo", ddof=1, eps=0.0)),
    "Beta density ignored": ("obj-062", setting("advantage", estimator="grpo", scale="none", ddof=1, eps=0.0)),
    "process with n": ("obj-063", setting("advantage", ddof=0)),
    "step ends one early": (
        "obj-063",
        lambda c: c["sequences"][0].update(step_ends=[e - 1 for e in c["sequences"][0]["step_ends"]]),
    ),
    "steps out of order": (
        "obj-063",
        lambda c: c["sequences"][0].update(step_rewards=c["sequences"][0]["step_rewards"][::-1]),
    ),
    "another lambda": ("obj-064", setting("advantage", lam=1.0)),
    "discounted": ("obj-064", setting("advantage", gamma=0.99)),
    "no critic": ("obj-064", lambda c: [s.update(values=[0.0] * len(s["mask"])) for s in c["sequences"]]),
    "gae whitened with n": ("obj-064", whitening(ddof=0)),
    "another given advantage": ("obj-043", lambda c: c["sequences"][0]["advantage"].reverse()),
    # aggregations
    "micro-batch means": ("obj-007", setting("aggregation", mode="micro_token_mean")),
    "one micro-batch for many": ("obj-011", lambda c: c.update(micro_batches=[list(range(12))])),
    "batch tokens for group tokens": ("obj-010", setting("aggregation", mode="token_mean")),
    "group tokens for batch tokens": ("obj-007", setting("aggregation", mode="group_token_mean")),
    "masked sequences not counted": ("obj-023", setting("aggregation", seq_denominator="active")),
    "masked sequences counted": ("obj-024", setting("aggregation", seq_denominator="all")),
    "masked counted in the norm": ("obj-025", setting("aggregation", seq_denominator="all")),
    "token mean for sequence mean": ("obj-001", setting("aggregation", mode="token_mean")),
    "sequence mean for token sum": ("obj-013", setting("aggregation", mode="seq_mean_token_mean")),
    "another budget": ("obj-012", setting("aggregation", constant=11)),
    "another constant": ("obj-015", setting("aggregation", constant=65)),
    "truncated kept": ("obj-009", lambda c: c.update(mask_truncated=False)),
    "observation tokens trained on": (
        "obj-008",
        lambda c: [s.update(mask=[1] * len(s["mask"])) for s in c["sequences"]],
    ),
    # surrogates
    "clip bounds swapped": ("obj-007", setting("objective", eps_low=0.28, eps_high=0.2)),
    "no clip": ("obj-007", setting("objective", eps_low=9.0, eps_high=9.0)),
    "no dual clip": ("obj-026", setting("objective", dual_clip=None)),
    "a tighter dual clip": ("obj-027", setting("objective", dual_clip=3.0)),
    "log-ratio clamped": ("obj-005", setting("objective", log_ratio_clamp=0.05)),
    "token ratio for gspo": ("obj-042", setting("objective", variant="clip", dual_clip=None)),
    "gspo for gspo-token": ("obj-043", setting("objective", variant="gspo")),
    "product for geometric mean": ("obj-042", setting("objective", variant="seq_clip")),
    "geometric mean for product": ("obj-033", setting("objective", variant="gspo")),
    "gspo bounds swapped": ("obj-042", setting("objective", eps_low=0.08, eps_high=0.05)),
    "gmpo as token clip": ("obj-045", setting("objective", variant="clip", dual_clip=None)),
    "gmpo tighter": ("obj-045", setting("objective", eps_low=0.2)),
    "gmpo wider": ("obj-045", setting("objective", eps_high=0.6)),
    "cispo uncapped": ("obj-046", setting("objective", is_max=None)),
    "cispo one-sided": ("obj-047", setting("objective", is_min=None)),
    "cispo as clip": ("obj-047", setting("objective", variant="clip", eps_low=0.2, eps_high=0.2, dual_clip=None)),
    "one tau": ("obj-048", setting("objective", tau_neg=1.0)),
    "taus swapped": ("obj-048", setting("objective", tau_neg=1.0, tau_pos=1.05)),
    "dppo wider": ("obj-049", setting("objective", delta_low=0.6, delta_high=0.6)),
    "dppo capped": ("obj-049", setting("objective", ratio_cap=1.05)),
    "binary KL for variation": ("obj-049", setting("objective", variant="dppo_kl", tail_eps=1e-8, delta_low=0.01)),
    "variation for binary KL": ("obj-050", setting("objective", variant="dppo_tv")),
    "a heavier tail": ("obj-050", setting("objective", tail_eps=0.3)),
    "one token more": ("obj-051", setting("objective", k_ratio=0.2)),
    "half the penalty": ("obj-051", setting("objective", kl_coef=0.5)),
    "clip-cov without its tokens": (
        "obj-052",
        lambda c: [s.update(selected=[0] * len(s["mask"])) for s in c["sequences"]],
    ),
    "clip-cov with all its tokens": (
        "obj-052",
        lambda c: [s.update(selected=[1] * len(s["mask"])) for s in c["sequences"]],
    ),
    "vespo pairs swapped": ("obj-053", setting("objective", k_pos=3.0, lambda_pos=2.0, k_neg=2.0, lambda_neg=3.0)),
    "vespo without sampler weights": ("obj-054", lambda c: c.update(sampler_correction=None)),
    "kimi without its square": ("obj-055", setting("objective", tau=0.0)),
    "reinforce with a ratio": ("obj-040", setting("objective", variant="cispo", is_min=None, is_max=None)),
    # KL
    "k2 for k3": ("obj-002", setting("kl", estimator="k2")),
    "k1 for k2": ("obj-029", setting("kl", estimator="k1")),
    "k3 for k1": ("obj-028", setting("kl", estimator="k3")),
    "k3 gradient for straight-through": ("obj-031", setting("kl", estimator="k3")),
    "k3 without its ratio": ("obj-030", setting("kl", estimator="k3")),
    "half the beta": ("obj-002", setting("kl", beta=0.02)),
    # modifiers
    "no correction": ("obj-065", lambda c: c.update(sampler_correction=None)),
    "one-sided truncation": ("obj-066", setting("sampler_correction", min=None)),
    "token for sequence": ("obj-067", setting("sampler_correction", level="token")),
    "geometric for sequence": ("obj-069", setting("sampler_correction", level="geometric")),
    "truncated for masked": ("obj-068", setting("sampler_correction", action="truncate")),
    "masked for filtered": ("obj-070", setting("sampler_correction", action="mask")),
    "token filter": ("obj-070", setting("sampler_correction", level="token")),
    "missing as certain": (
        "obj-071",
        lambda c: [s.update(logp_sampler=[x or 0.0 for x in s["logp_sampler"]]) for s in c["sequences"]],
    ),
    "no off-policy mask": ("obj-072", lambda c: c.update(off_policy_mask=None)),
    "a wider off-policy mask": ("obj-072", setting("off_policy_mask", delta=9.0)),
    "drift from the sampler ignored": ("obj-072", lambda c: [s.update(logp_sampler=None) for s in c["sequences"]]),
    "no entropy mask": ("obj-073", lambda c: c.update(entropy_mask=None)),
    "a wider entropy mask": ("obj-073", setting("entropy_mask", keep_top=0.25)),
    # other kinds
    "another KL value": ("obj-074", row("logp_ref", -0.123)),
    "another KL ratio": ("obj-074", row("logp_old", -0.123)),
    "another gae reward": ("obj-075", lambda c: c["rows"][0]["rewards"].append(c["rows"][0]["rewards"].pop() + 1)),
    "another gae lambda": ("obj-075", row("lam", 0.123)),
    "another gae discount": ("obj-075", row("gamma", 0.5)),
    "a wider value clip": ("obj-076", lambda c: c.update(clip=9.0)),
    "a value clip": ("obj-077", lambda c: c.update(clip=0.1)),
    "another maximal length": ("obj-078", lambda c: c.update(max_len=c["max_len"] + 3)),
    "another cache": ("obj-078", lambda c: c.update(cache=c["cache"] * 2)),
    "one more right": ("obj-079", lambda c: c["rows"][0].update(c=c["rows"][0]["c"] + 1)),
    "another reference": ("obj-080", row("reference", "2", 1)),
    "another vote": ("obj-080", row("voted", "nothing like it")),
    "another target": ("obj-081", row("target", 0.5, 1)),
    "another horizon": ("obj-081", row("horizon", 10)),
    "a dead group kept": ("obj-082", lambda c: c["expected"].update(kept=[*c["expected"]["kept"], "g1"])),
    "a live group left out": ("obj-082", lambda c: c["expected"]["kept"].pop()),
}


@pytest.mark.parametrize("name", WRONG)
@DTYPES
def test_a_wrong_variant_misses(name, dtype):
    case_id, change = WRONG[name]
    [result] = check_cases(only(case_id, change), dtype)
    assert result.status == "miss" and "wanted" in result.detail


def test_every_name_of_the_file_is_put_wrong_somewhere():
    cases = {c["id"]: c for c in policy_cases()}
    used = [cases[i] for i, _ in WRONG.values() if i in cases]
    for part, field in (("advantage", "estimator"), ("objective", "variant"), ("aggregation", "mode")):
        assert {c[part][field] for c in used} == {c[part][field] for c in cases.values()}
    assert {c["kl"]["estimator"] for c in used if c["kl"]} == {"k1", "k2", "k3", "k3_is", "k3_st"}
    assert {i for i, _ in WRONG.values()} >= {c["id"] for c in document()["cases"] if c["kind"] != "policy_loss"}


def test_a_wrong_surrogate_in_the_table_misses(monkeypatch):
    def clip_on_the_wrong_side(terms, *, clip_low, clip_high, dual_clip):
        clipped = terms.ratio.clamp(1 - clip_low, 1 + clip_high)
        return -(terms.ratio * terms.advantage).maximum(clipped * terms.advantage)

    wrong = replace(OBJECTIVES["grpo"], surrogate=clip_on_the_wrong_side)
    for module in (golden_loss, golden_batch):
        monkeypatch.setattr(module, "OBJECTIVES", {**OBJECTIVES, "grpo": wrong})
    assert check_cases(only("obj-007"), "float64")[0].status == "miss"


def test_a_wrong_estimator_in_the_table_misses(monkeypatch):
    monkeypatch.setattr(golden_kinds, "ESTIMATORS", {**golden_kinds.ESTIMATORS, "k3": k2})
    assert check_cases(only("obj-074"), "float64")[0].status == "miss"


def test_every_expected_number_is_looked_at():
    # Put each expected number of one case of every make a little off: the case must name it.
    for case_id in ("obj-002", "obj-026", "obj-041", "obj-065", "obj-072", "obj-073"):
        case = next(c for c in document()["cases"] if c["id"] == case_id)
        looked = set(case["expected"]) - {"diagnostic", "clip_fraction"}
        for field in looked:

            def nudge(case, field=field):
                case["expected"][field] = nudged(case["expected"][field])

            [result] = check_cases(only(case_id, nudge), "float64")
            if case["expected"][field] is not None:
                assert result.status == "miss" and f"{field}: " in result.detail, (case_id, field)
        for side in case["expected"]["clip_fraction"]:

            def nudge_side(case, side=side):
                case["expected"]["clip_fraction"][side] += 1e-6

            [result] = check_cases(only(case_id, nudge_side), "float32")
            assert result.detail.startswith(f"clip_fraction.{side}: "), (case_id, side)


def nudged(value):
    if isinstance(value, list):
        return [nudged(value[0]), *value[1:]]
    return None if value is None else (not value if isinstance(value, bool) else value + 1e-3)


def test_local_means_give_the_wrong_value_the_file_documents():
    case = next(c for c in document()["cases"] if c["id"] == "obj-007")
    [result] = check_cases(only("obj-007", WRONG["micro-batch means"][1]), "float64")
    documented = case["expected"]["diagnostic"]["mean_of_micro_batch_means"]
    loss = next(part for part in result.detail.split("; ") if part.startswith("loss:"))
    assert float(loss.split()[1].rstrip(",")) == pytest.approx(documented, rel=1e-12)


def test_an_advantage_that_is_nearly_zero_misses():
    # Every completion of this case is masked, so only rewards and advantages are in play. 1e-17 is inside every
    # tolerance of a reward, and so is its advantage; where a token is active it must be exactly 0.
    def nearly(case, first):
        expected = case["expected"]
        for i, sequence in enumerate(case["sequences"]):
            sequence["reward"] = first if i == 0 else 0.0
        case["mask_truncated"] = False
        expected["advantages_token"] = [[0.0] * len(s["mask"]) for s in case["sequences"]]

    [dead] = check_cases(only("obj-022", lambda case: nearly(case, 0.0)), "float64")
    [alive] = check_cases(only("obj-022", lambda case: nearly(case, 1e-17)), "float64")
    assert "exactly 0" not in dead.detail and "advantages_token" not in dead.detail
    assert "advantages_token" in alive.detail and "wanted exactly 0" in alive.detail


def test_float64_only_cases_are_left_out_in_float32():
    one = only("obj-001", lambda c: c.update(float64_only=True))
    assert check_cases(one, "float32") == []
    assert len(check_cases(one, "float64")) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cases": []}, "schema_version None"),
        ({"schema_version": 2, "cases": []}, r"schema_version 2.*Wanted: schema_version 1"),
        ({"schema_version": 1}, "NoneType.*Wanted: cases"),
        ({"schema_version": 1, "cases": {}}, "dict"),
        ({"schema_version": 1, "cases": ["obj-001"]}, "golden case 'obj-001'"),
        ({"schema_version": 1, "cases": [{"kind": "gae"}]}, "golden case without an id"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused(given, words):
    for dtype in ("float64", "float32"):
        with pytest.raises(RequestError, match=words):
            check_cases(given, dtype)
