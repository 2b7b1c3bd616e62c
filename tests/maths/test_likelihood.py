"""The sampling distribution, its log-probs and draws from it, against NumPy in float64 and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.maths.likelihood import draw, entropy, sampling_logits, token_logprobs

INF = float("inf")


def naive(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0):
    """Probabilities of the sampling distribution of one row, written with loops."""
    weight = np.exp((logits - logits.max()) / temperature)
    if 0 < top_k < len(weight):
        weight[weight < np.sort(weight)[-top_k]] = 0.0
    if top_p < 1.0:
        mass, kept = 0.0, np.zeros(len(weight), bool)
        for i in np.argsort(-weight, kind="stable"):
            if mass >= top_p * weight.sum():
                break
            kept[i], mass = True, mass + weight[i]
        weight[~kept] = 0.0
    if min_p > 0.0:
        weight[weight < min_p * weight.max()] = 0.0
    return weight / weight.sum()


def probabilities(logits, **distribution):
    return sampling_logits(torch.as_tensor(logits), **distribution).softmax(-1).numpy()


# -------------------------------------------------------------------------------------------- the distribution


LOGITS = np.log(np.array([[0.5, 0.2, 0.15, 0.1, 0.05]]))


@pytest.mark.parametrize(
    ("distribution", "wanted"),
    [
        ({}, [0.5, 0.2, 0.15, 0.1, 0.05]),
        # p^2 over its sum: 0.25, 0.04, 0.0225, 0.01, 0.0025, in all 0.325
        ({"temperature": 0.5}, [0.25 / 0.325, 0.04 / 0.325, 0.0225 / 0.325, 0.01 / 0.325, 0.0025 / 0.325]),
        ({"top_k": 2}, [0.5 / 0.7, 0.2 / 0.7, 0, 0, 0]),
        # 0.5 + 0.2 = 0.7 < 0.8, so the third token is needed
        ({"top_p": 0.8}, [0.5 / 0.85, 0.2 / 0.85, 0.15 / 0.85, 0, 0]),
        ({"top_p": 0.01}, [1, 0, 0, 0, 0]),
        # at least 0.3 * 0.5 = 0.15 is wanted; 0.25 keeps a little above it clear of rounding
        ({"min_p": 0.25}, [0.5 / 0.85, 0.2 / 0.85, 0.15 / 0.85, 0, 0]),
        # top-k first: of 0.5, 0.2, 0.15 (sum 0.85) the first two hold 0.82, so top-p 0.8 keeps them alone
        ({"top_k": 3, "top_p": 0.8}, [0.5 / 0.7, 0.2 / 0.7, 0, 0, 0]),
        ({"top_k": 4, "min_p": 0.35}, [0.5 / 0.7, 0.2 / 0.7, 0, 0, 0]),
        ({"top_k": 0}, [0.5, 0.2, 0.15, 0.1, 0.05]),
        ({"top_k": 99}, [0.5, 0.2, 0.15, 0.1, 0.05]),
    ],
)
def test_by_hand(distribution, wanted):
    assert probabilities(LOGITS, **distribution)[0] == pytest.approx(wanted)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(1, 300),
    spread=st.floats(0.1, 20),
    temperature=st.sampled_from([1.0, 0.3, 1.7]),
    top_k=st.integers(0, 300),
    top_p=st.sampled_from([1.0, 0.999, 0.9, 0.5, 0.1]),
    min_p=st.sampled_from([0.0, 0.001, 0.1, 0.9]),
)
def test_any_combination_is_the_naive_one(seed, size, spread, temperature, top_k, top_p, min_p):
    logits = np.random.default_rng(seed).normal(0, spread, (2, size))
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    seen = probabilities(logits, **options)
    for row in range(2):
        wanted = naive(logits[row], **options)
        assert seen[row] == pytest.approx(wanted, abs=1e-12)
        assert ((seen[row] == 0) == (wanted == 0)).all()


def test_top_p_stops_at_the_token_that_reaches_it():
    # Four tokens of exactly 1/4: two reach 1/2, and three are needed for anything above.
    equal = [[0.0, 0.0, 0.0, 0.0]]
    assert (probabilities(equal, top_p=0.5) > 0).sum() == 2
    assert (probabilities(equal, top_p=0.51) > 0).sum() == 3


def test_ties_at_the_bound_of_top_k_stay():
    assert probabilities([[3.0, 1.0, 1.0, 0.0]], top_k=2)[0, 3] == 0
    assert (probabilities([[3.0, 1.0, 1.0, 0.0]], top_k=2)[0, :3] > 0).all()


def test_a_kept_token_is_never_cut():
    kept = probabilities(LOGITS, top_k=1, keep=torch.tensor([4]))[0]
    assert kept == pytest.approx([0.5 / 0.55, 0, 0, 0, 0.05 / 0.55])
    inside = probabilities(LOGITS, top_k=2, keep=torch.tensor([1]))
    assert inside == pytest.approx(probabilities(LOGITS, top_k=2))


def test_rows_do_not_know_each_other():
    random = np.random.default_rng(0).normal(0, 3, (7, 50))
    options = {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "min_p": 0.01}
    together = probabilities(random, **options)
    assert together == pytest.approx(np.concatenate([probabilities(random[i : i + 1], **options) for i in range(7)]))


def test_the_gradient_flows_through_what_is_kept_and_nowhere_else():
    logits = torch.tensor(LOGITS, requires_grad=True)
    token_logprobs(sampling_logits(logits, temperature=0.5, top_k=2), torch.tensor([1])).sum().backward()
    # Two tokens at temperature 1/2: 0.25 and 0.04 of 0.29; d log p_1 / d logit = (onehot - p) / temperature.
    assert logits.grad[0].tolist() == pytest.approx([-2 * 0.25 / 0.29, 2 * (1 - 0.04 / 0.29), 0, 0, 0])


# ---------------------------------------------------------------------------------- log-probs and entropy


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 200), top_k=st.integers(0, 20))
def test_log_probs_and_entropy_against_numpy(seed, size, top_k):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 4, (3, size))
    shaped = sampling_logits(torch.tensor(logits), top_k=top_k)
    p = np.stack([naive(row, top_k=top_k) for row in logits])
    tokens = p.argmax(1)
    assert token_logprobs(shaped, torch.tensor(tokens)).tolist() == pytest.approx(np.log(p[range(3), tokens]).tolist())
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = -np.where(p > 0, p * np.log(p), 0.0).sum(1)
    assert entropy(shaped).tolist() == pytest.approx(wanted.tolist(), abs=1e-12)


def test_entropy_of_known_distributions():
    rows = torch.tensor([[0.0] * 8, [0.0, 0.0] + [-INF] * 6, [5.0] + [-INF] * 7])
    assert entropy(rows).tolist() == pytest.approx([math.log(8), math.log(2), 0.0], abs=1e-6)


def test_a_token_outside_the_support_has_log_prob_minus_infinity():
    assert token_logprobs(sampling_logits(torch.tensor(LOGITS), top_k=2), torch.tensor([4])).item() == -INF


def test_large_logits_do_not_overflow():
    rows = torch.tensor([[3e38, 0.0, -3e38], [1e4, 1e4, 0.0]])
    assert token_logprobs(rows, torch.tensor([0, 1])).tolist() == pytest.approx([0.0, -math.log(2)])
    assert entropy(rows).tolist() == pytest.approx([0.0, math.log(2)])


# ------------------------------------------------------------------------------------------------ draws


def counts(logits, n):
    """How often each token is drawn by n evenly spaced uniforms (i + 1/2) / n."""
    uniform = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return torch.bincount(draw(logits.expand(n, -1), uniform), minlength=logits.shape[-1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 700), spread=st.floats(0, 5))
def test_evenly_spaced_uniforms_give_every_token_its_share(seed, size, spread):
    """Inversion maps an interval of length p to each token, so of n even uniforms n p fall into it, within 1."""
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, spread, (1, size)))
    n = 2000
    assert (counts(logits, n) - n * logits.softmax(-1)[0]).abs().max() <= 1.0 + 1e-6


def test_must_fail_the_share_of_another_distribution():
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (1, 300)))
    assert (counts(logits, 2000) - 2000 * (logits * 0.95).softmax(-1)[0]).abs().max() > 5


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 600), u=st.floats(0, 1, exclude_max=True))
def test_it_is_the_first_token_whose_cumulative_probability_exceeds_the_uniform(seed, size, u):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 3, (1, size)))
    token = int(draw(logits, torch.tensor([u], dtype=torch.float64)))
    cumulative = np.cumsum(np.exp(logits[0].numpy() - logits.max().item()))
    cumulative /= cumulative[-1]
    assert (cumulative[token - 1] if token else 0.0) <= u + 1e-12
    assert u < cumulative[token] + 1e-12


@st.composite
def sparse_rows(draw_):
    """Float32 logits, most of them outside the support, over a vocabulary of any size."""
    size = draw_(st.sampled_from([1, 2, 127, 128, 129, 200, 256, 257, 383, 384, 515]))
    random = np.random.default_rng(draw_(st.integers(0, 2**31)))
    logits = random.normal(0, draw_(st.sampled_from([0.5, 5.0, 20.0])), size).astype(np.float32)
    logits[random.random(size) < draw_(st.sampled_from([0.0, 0.5, 0.99]))] = -INF
    logits[random.integers(size)] = random.normal()
    return torch.from_numpy(logits)[None]


@settings(max_examples=150, deadline=None)
@given(row=sparse_rows(), fraction=st.floats(0, 1, exclude_max=True), nudge=st.sampled_from([-1, 0, 1]))
def test_a_token_without_probability_is_never_drawn(row, fraction, nudge):
    """At the ends of [0, 1), at any uniform, and at the borders of blocks of 128, where rounding is worst."""
    weights = (row[0] - row.max()).exp()
    blocks = torch.nn.functional.pad(weights, (0, -len(weights) % 128)).view(-1, 128).sum(-1).double().cumsum(0)
    borders = (blocks / blocks[-1]).numpy()
    near = [float(np.nextafter(b, b + nudge)) if nudge else float(b) for b in borders]
    tries = [0.0, 5e-324, fraction, 1 - 1e-16, *[u for u in near if 0 <= u < 1]]
    tokens = draw(row.expand(len(tries), -1), torch.tensor(tries, dtype=torch.float64))
    assert int(tokens.max()) < row.shape[1]
    assert (weights[tokens] > 0).all()


@pytest.mark.parametrize("logits", [(-24.6, -4.7, -2.2), (-22.9, -16.9, -1.8), (-24.1, -0.3, -4.6)])
def test_rounding_at_the_border_of_two_blocks_draws_no_token_without_probability(logits):
    """Cases found by search: a block's sum, taken off the sum of all blocks so far, does not give back the sum before.

    What is left of the uniform is then below 0, where the first token of the block would be drawn; it has no mass.
    """
    row = torch.full((1, 384), -INF)
    row[0, [1, 129, 257]] = torch.tensor(logits)
    cumulative = (row - row.max()).exp()[0, [1, 129, 257]].double().cumsum(0)
    for border in (cumulative[:2] / cumulative[2]).tolist():
        for u in (border, float(np.nextafter(border, 1))):
            assert draw(row, torch.tensor([u], dtype=torch.float64)).item() in (1, 129, 257)


def test_a_large_vocabulary_is_accumulated_in_float64():
    """50,000 tokens of about 2e-5 each: sums kept in float32 would put one draw in twenty at a neighbour."""
    random = np.random.default_rng(0)
    row = torch.from_numpy(random.normal(0, 1, (1, 50_000)).astype(np.float32))
    uniform = random.random(1000)
    exact = np.cumsum(np.exp(row[0].double().numpy()))
    wanted = np.searchsorted(exact, uniform * exact[-1], side="right")
    seen = draw(row.expand(1000, -1), torch.from_numpy(uniform)).numpy()
    assert (seen != wanted).sum() <= 5


def test_large_logits_are_drawn_from_too():
    rows = torch.tensor([[1000.0, 999.0, 0.0], [-1000.0, -1001.0, -3e38]])
    wanted = 1 / (1 + math.exp(-1))  # probability of the first token of two
    for u, token in ((wanted - 1e-6, 0), (wanted + 1e-6, 1)):
        assert draw(rows, torch.full((2,), u, dtype=torch.float64)).tolist() == [token, token]


def test_the_ends_of_the_interval():
    row = torch.tensor([[-INF, 1.0, 2.0, -INF, 3.0, -INF]])
    assert draw(row, torch.tensor([0.0], dtype=torch.float64)).item() == 1
    assert draw(row, torch.tensor([1 - 1e-16], dtype=torch.float64)).item() == 4


def test_a_row_is_drawn_alone_as_in_a_batch():
    random = np.random.default_rng(1)
    rows = torch.from_numpy(random.normal(0, 2, (40, 259)).astype(np.float32))
    uniform = torch.from_numpy(random.random(40))
    together = draw(rows, uniform).tolist()
    assert together == [draw(rows[i : i + 1], uniform[i : i + 1]).item() for i in range(40)]


def test_temperature_two_and_the_tightest_min_p():
    assert probabilities(LOGITS, temperature=2.0)[0] == pytest.approx(naive(LOGITS[0], temperature=2.0))
    assert probabilities(LOGITS)[0] == pytest.approx(naive(LOGITS[0]))
    assert probabilities(LOGITS, min_p=1.0)[0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_row_of_nan_draws_a_token_of_the_vocabulary():
    tokens = draw(torch.full((3, 5), math.nan), torch.tensor([0.0, 0.5, 0.99]))
    assert ((tokens >= 0) & (tokens < 5)).all()
