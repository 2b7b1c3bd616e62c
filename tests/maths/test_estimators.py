import math
from dataclasses import replace

import numpy as np
import pytest

from sibling.errors import RequestError, RunError
from sibling.maths import baselines, passk
from sibling.maths.advantages import each_reward_standardised, group_advantages
from sibling.maths.estimators import ESTIMATORS, Evidence, advantages
from sibling.maths.returns import reward_to_go, token_rewards, whiten

NAN = math.nan


def column(values):
    return np.array(values, dtype=np.float64)


REWARD = column([1, 0, NAN, 1, 0, 0])
GROUP = np.array([0, 0, 0, 1, 1, 1])
MASK = tuple(np.array(m, dtype=bool) for m in ([1, 1], [1, 0, 1], [1], [1, 1, 1, 1], [1], [1, 1]))
KL = tuple(column(np.linspace(-0.3, 0.5, len(m))) for m in MASK)
VALUES = tuple(column(np.linspace(0.2, 0.9, len(m))) for m in MASK)
SCORES = np.stack([REWARD, column([0.5, NAN, 0.1, 0.2, 0.2, 0.9])], axis=1)
STEPS = tuple((np.array([0, len(m) - 1]), column([i % 3, i % 2])) for i, m in enumerate(MASK))
EVIDENCE = Evidence(REWARD, GROUP, MASK, scores=SCORES, weights=(1.0, 0.5), kl=KL, values=VALUES, steps=STEPS)
TOKENS = np.array([int(m.sum()) for m in MASK])

SEQUENCE = {
    "group": lambda r: group_advantages(r, GROUP, scale="group", ddof=1, eps=1e-4),
    "rloo": lambda r: baselines.leave_one_out(r, GROUP),
    "reinforce": lambda r: baselines.reinforce(r, GROUP),
    "opo": lambda r: baselines.optimal_length(r, GROUP, TOKENS),
    "gpg": lambda r: baselines.rescaled_for_dead_groups(r, GROUP, f_norm=1.0),
    "maxrl": lambda r: baselines.over_the_mean(r, GROUP, eps=1e-6),
    "passk": lambda r: passk.closed_form(r, GROUP, k=2),
    "pkpo": lambda r: passk.unbiased(r, GROUP, k=2),
    "best": lambda r: baselines.best_lead(r, GROUP, scale="none"),
    "beta": lambda r: baselines.beta_normalised(r, GROUP),
}


@pytest.mark.parametrize("name", SEQUENCE)
def test_rows_of_whole_completions(name):
    got = advantages(name, EVIDENCE)
    assert got.sequence.tolist() == SEQUENCE[name](REWARD).tolist() and got.sequence.any()
    assert got.token is None and got.returns is None


@pytest.mark.parametrize("name", [n for n in SEQUENCE if n not in ("passk", "pkpo", "beta")])
def test_a_kl_penalty_is_taken_from_the_reward_of_the_completion(name):
    penalty = column([k[m].sum() for k, m in zip(KL, MASK, strict=True)])
    got = advantages(name, replace(EVIDENCE, kl_beta=0.5))
    assert got.sequence.tolist() == pytest.approx(SEQUENCE[name](REWARD - 0.5 * penalty).tolist())


def test_gdpo_leaves_out_completions_without_a_reward():
    got = advantages("gdpo", EVIDENCE).sequence
    scores = np.where(np.isnan(REWARD)[:, None], NAN, SCORES)
    assert got.tolist() == each_reward_standardised(scores, (1.0, 0.5), GROUP, ddof=1, eps=1e-4).tolist()
    assert got[2] == 0 and not np.isnan(SCORES[2, 1])


def test_gdpo_by_hand():
    # Reward 1: 1 0 | 0 2, halves over sqrt(1/2) and 1 over sqrt 2: +-1/sqrt 2 each. Reward 2 is equal in group 0.
    # y: c, -c | -c - 2c, c + 2c with c = 1/sqrt 2 and weight 2; mean 0, squares 2 c^2 + 18 c^2 = 10; n: 10/4.
    scores = column([[1, 5], [0, 5], [0, 1], [2, 2]])
    evidence = Evidence(column([1, 1, 1, 1]), np.array([0, 0, 1, 1]), (np.ones(1, bool),) * 4, scores, (1.0, 2.0))
    c, spread = math.sqrt(0.5), math.sqrt(10 / 3)
    got = advantages("gdpo", evidence, eps=0.0).sequence
    assert got.tolist() == pytest.approx([c / spread, -c / spread, -3 * c / spread, 3 * c / spread])


def test_gdpo_adds_eps_to_both_deviations():
    # 1 0 | 0 2, std 1/2 and 1 with n: y = +-.5/.6 and +-1/1.1; the batch's std is that of y, plus .1.
    scores = column([[1], [0], [0], [2]])
    evidence = Evidence(column([1, 1, 1, 1]), np.array([0, 0, 1, 1]), (np.ones(1, bool),) * 4, scores, (1.0,))
    first, second = 0.5 / 0.6, 1 / 1.1
    spread = math.sqrt((first**2 + second**2) / 2) + 0.1
    got = advantages("gdpo", evidence, eps=0.1, ddof=0).sequence
    assert got.tolist() == pytest.approx([first / spread, -first / spread, -second / spread, second / spread])


def test_gdpo_of_a_batch_without_spread_is_exactly_zero():
    evidence = Evidence(
        column([1, 1, 2, 2]), np.array([0, 0, 1, 1]), (np.ones(1, bool),) * 4, column([[1], [1], [2], [2]])
    )
    for eps in (0.0, 1e-4):
        got = advantages("gdpo", replace(evidence, weights=(1.0,)), eps=eps).sequence
        assert got.tolist() == [0.0] * 4


def test_process_rows_take_step_scores():
    from sibling.maths.returns import process_supervision

    got = advantages("process", EVIDENCE, eps=0.5).token
    wanted = process_supervision(STEPS, GROUP, MASK, ddof=1, eps=0.5)
    assert [g.tolist() for g in got] == [w.tolist() for w in wanted] and got[4].any()


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_reinforce_pp_is_whitened_reward_to_go(beta, gamma):
    masks = [m if i != 2 else ~m for i, m in enumerate(MASK)]  # no reward: out of the batch
    rewards = token_rewards(REWARD, masks, KL, beta)
    values = [reward_to_go(r, m, gamma=gamma) for r, m in zip(rewards, masks, strict=True)]
    wanted = whiten(values, masks, over="tokens", ddof=0, eps=1e-8, eps_mode="inside_var")
    evidence = replace(EVIDENCE, kl_beta=beta)
    got = advantages("reinforce_pp", evidence, gamma=gamma)
    assert [g.tolist() for g in got.token] == [w.tolist() for w in wanted] and got.sequence is None
    assert not got.token[2].any()
    raw = advantages("reinforce_pp", evidence, gamma=gamma, whiten="none").token
    assert [g.tolist() for g in raw] == [v.tolist() for v in values]


def test_reinforce_pp_baseline_by_hand():
    # Less the group's mean: 1/2, -1/2, missing | 2/3, -1/3, -1/3, at every active token with gamma 1.
    got = advantages("reinforce_pp_baseline", EVIDENCE, whiten="none").token
    wanted = [[0.5, 0.5], [-0.5, 0, -0.5], [0], [2 / 3] * 4, [-1 / 3], [-1 / 3] * 2]
    assert [g.tolist() for g in got] == [pytest.approx(w) for w in wanted]
    white = advantages("reinforce_pp_baseline", EVIDENCE).token
    active = np.concatenate([w[m] for w, m in zip(white, MASK, strict=True) if w.any()])
    assert active.mean() == pytest.approx(0, abs=1e-12) and active.std(ddof=1) == pytest.approx(1, rel=1e-6)
    # The KL penalty belongs to the completion's reward here.
    penalised = advantages("reinforce_pp_baseline", replace(EVIDENCE, kl_beta=1.0), whiten="none").token
    own = REWARD[:2] - column([k[m].sum() for k, m in zip(KL[:2], MASK[:2], strict=True)])
    assert penalised[0].tolist() == pytest.approx([own[0] - own.mean()] * 2)


def test_gae_row():
    plain = advantages("gae", EVIDENCE, whiten="none")
    # Completion 0: V .2 .9, R 1 at its end: A_1 = .1; A_0 = .9 - .2 + .95 * .1.
    assert plain.token[0].tolist() == pytest.approx([0.795, 0.1])
    assert plain.returns[0].tolist() == pytest.approx([0.995, 1.0])
    assert not plain.token[2].any() and not plain.returns[2].any()
    white = advantages("gae", EVIDENCE)
    assert [r.tolist() for r in white.returns] == [r.tolist() for r in plain.returns]  # before the whitening
    masks = [m if i != 2 else ~m for i, m in enumerate(MASK)]
    wanted = whiten(plain.token, masks, over="tokens", ddof=1, eps=1e-8, eps_mode="inside_var")
    assert [g.tolist() for g in white.token] == [w.tolist() for w in wanted]
    discounted = advantages("gae", EVIDENCE, whiten="none", gamma=0.5, lam=0.5)
    assert discounted.token[0].tolist() == pytest.approx([0.45 - 0.2 + 0.25 * 0.1, 0.1])
    # KL at each token: delta_1 less .5 beta, delta_0 plus .3 beta.
    penalised = advantages("gae", replace(EVIDENCE, kl_beta=0.1), whiten="none")
    assert penalised.token[0].tolist() == pytest.approx([0.73 + 0.95 * 0.05, 0.05])


@pytest.mark.parametrize("name", ["gae", "reinforce_pp"])
def test_rewards_may_be_given_token_by_token(name):
    given = token_rewards(REWARD, MASK)
    got = advantages(name, replace(EVIDENCE, reward=np.nan_to_num(REWARD), token_rewards=given))
    wanted = advantages(name, replace(EVIDENCE, reward=np.nan_to_num(REWARD)))
    assert [g.tolist() for g in got.token] == [w.tolist() for w in wanted.token]
    doubled = advantages(name, replace(EVIDENCE, token_rewards=[2 * g for g in given]), whiten="none")
    assert doubled.token[0][-1] == pytest.approx({"gae": 2 - 0.9, "reinforce_pp": 2.0}[name])


def test_numbers_reach_their_estimator():
    assert not np.array_equal(advantages("group", EVIDENCE, ddof=0).sequence, advantages("group", EVIDENCE).sequence)
    assert advantages("group", EVIDENCE, scale="none").sequence[0] == 0.5
    assert advantages("gpg", EVIDENCE, f_norm=2.0).sequence[0] == 0.25
    assert advantages("maxrl", EVIDENCE, eps=0.5).sequence[0] == 0.5
    assert advantages("pkpo", EVIDENCE, k=1).sequence[1] == 0
    assert advantages("best", EVIDENCE, scale="group", eps=1.0).sequence[0] == pytest.approx(1 / (math.sqrt(0.5) + 1))


def test_bad_requests_are_refused():
    with pytest.raises(RequestError, match=r"(?i)did you mean rloo"):
        advantages("rlo", EVIDENCE)
    with pytest.raises(RequestError, match=r"one of group, process, .*gae\.$"):
        advantages("zzzzzz", EVIDENCE)
    with pytest.raises(RequestError, match=r"group has no such number.*Seen: epsilon, scal\. Wanted: scale, ddof, eps"):
        advantages("group", EVIDENCE, scal="none", epsilon=1.0)
    with pytest.raises(RequestError, match=r"Seen: a, b, c, d, e, f\. "):
        advantages("rloo", EVIDENCE, **dict.fromkeys("fcadeb", 1.0))
    with pytest.raises(RequestError, match="Wanted: none"):
        advantages("rloo", EVIDENCE, eps=1.0)
    for name, needs in (("gae", "values"), ("process", "steps"), ("gdpo", "scores, weights")):
        empty = Evidence(REWARD, GROUP, MASK)
        with pytest.raises(RunError, match=f"{name} lacks.*no {needs}"):
            advantages(name, empty)


def test_the_table_is_complete():
    assert list(ESTIMATORS) == [
        *("group", "process", "rloo", "reinforce", "opo", "gpg", "maxrl", "gdpo", "passk", "pkpo", "best", "beta"),
        *("reinforce_pp", "reinforce_pp_baseline", "gae"),
    ]
    for name, row in ESTIMATORS.items():
        assert row.name == name and row.title and row.paper and row.equation.isascii()
    whitened = {"whiten": "tokens", "eps": 1e-8, "eps_mode": "inside_var", "gamma": 1.0}
    defaults = {
        "group": {"scale": "group", "ddof": 1, "eps": 1e-4},
        "process": {"ddof": 1, "eps": 1e-4},
        "gpg": {"f_norm": 1.0},
        "maxrl": {"eps": 1e-6},
        "gdpo": {"ddof": 1, "eps": 1e-4},
        "passk": {"k": 2},
        "pkpo": {"k": 2},
        "best": {"scale": "none", "eps": 1e-6},
        "reinforce_pp": {**whitened, "ddof": 0},
        "reinforce_pp_baseline": {**whitened, "ddof": 1},
        "gae": {**whitened, "ddof": 1, "lam": 0.95},
    }
    assert {n: dict(row.numbers) for n, row in ESTIMATORS.items() if row.numbers} == defaults


def test_an_empty_batch_has_no_advantages():
    nothing = Evidence(column([]), np.zeros(0, dtype=np.int64), (), np.zeros((0, 1)), (1.0,), (), 0.0, (), ())
    for name in ESTIMATORS:
        got = advantages(name, nothing)
        assert got.sequence is None or got.sequence.shape == (0,)
        assert not got.token


def test_a_batch_of_one_completion():
    one = Evidence(
        column([1]), np.zeros(1, dtype=np.int64), MASK[:1], SCORES[:1], (1.0, 0.5), (), 0.0, VALUES[:1], STEPS[:1]
    )
    for name in ESTIMATORS:
        got = advantages(name, replace(one, kl=None))
        assert len(got.sequence if got.token is None else got.token) == 1


def test_an_infinite_reward_is_refused():
    for name in ESTIMATORS:
        if name == "process":
            continue
        with pytest.raises(RunError):
            advantages(name, replace(EVIDENCE, reward=column([math.inf, 0, 0, 1, 1, 0]), scores=SCORES + math.inf))
