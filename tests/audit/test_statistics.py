import numpy as np
import pytest

from sibling.audit.statistics import macro_rate, rate, t_quantile, wasted_share
from sibling.maths.intervals import wilson_interval


def simulated(generator, *, triples, probes, groups, share, correlation):
    """Verdicts of one audit: each triple has its own rate, drawn from a Beta with this mean and correlation."""
    size = 1 / correlation - 1
    own = generator.beta(share * size, (1 - share) * size, size=triples)
    triple = np.repeat(np.arange(triples), probes)
    group = generator.integers(0, groups, size=triples * probes)
    return generator.random(triples * probes) < own[triple], triple, group


@pytest.mark.parametrize(("share", "triples"), [(0.03, 200), (0.1, 200), (0.3, 50)])
def test_intervals_cover_the_planted_rate_in_95_percent_of_1000_audits(share, triples):
    # Planted: a false-accept rate, a false-refuse rate and a high one, with verdicts of a triple correlated by 0.1.
    generator = np.random.default_rng(20)
    hits = np.zeros(2)
    for _ in range(1000):
        failed, triple, group = simulated(generator, triples=triples, probes=20, groups=8, share=share, correlation=0.1)
        found = (rate(failed, triple), macro_rate(failed, triple, group, bootstrap=False))
        hits += [r.interval[0] <= share <= r.interval[1] for r in found]
    assert np.all(np.abs(hits / 1000 - 0.95) <= 0.02), hits


def test_probes_taken_as_independent_would_not_cover():
    # The case that must fail: the same audits, with Wilson's interval for as many independent probes.
    generator = np.random.default_rng(21)
    hits = 0
    for _ in range(300):
        failed, _, _ = simulated(generator, triples=50, probes=20, groups=8, share=0.3, correlation=0.1)
        low, high = wilson_interval(int(failed.sum()), len(failed))
        hits += low <= 0.3 <= high
    assert hits / 300 < 0.85


def test_independent_probes_get_about_wilsons_interval():
    generator = np.random.default_rng(3)
    failed = generator.random(4000) < 0.2
    found = rate(failed, np.arange(4000))
    low, high = wilson_interval(int(failed.sum()), 4000)
    assert found.interval == pytest.approx((low, high), abs=0.002)


def test_probes_of_a_triple_that_always_agree_count_once():
    triple = np.repeat(np.arange(40), 25)
    failed = np.repeat(np.arange(40) < 10, 25)
    found = rate(failed, triple)
    low, high = wilson_interval(10, 40)
    assert found.share == 0.25
    assert found.interval == pytest.approx((low, high), abs=0.03)
    assert found.interval[1] - found.interval[0] > high - low  # Student's t is wider


def test_no_failure_gives_the_rule_of_three():
    found = rate([False] * 300, np.repeat(np.arange(30), 10))
    assert (found.share, found.rule_of_three, found.rule_of_three_triples) == (0.0, 0.01, 0.1)
    assert found.interval == wilson_interval(0, 300)
    assert rate([True], [0]).rule_of_three is None


def test_the_macro_average_is_over_groups():
    # Group 0: 90 probes, none failed; group 1: 10, all failed. The share of all is 10 %, the macro-average 50 %.
    failed = [False] * 90 + [True] * 10
    triple, group = list(range(100)), [0] * 90 + [1] * 10
    assert rate(failed, triple).share == pytest.approx(0.1)
    found = macro_rate(failed, triple, group)
    assert found.share == pytest.approx(0.5)
    assert (found.failed, found.n, found.triples) == (10, 100, 100)


def test_the_bootstrap_draws_whole_triples():
    triple = np.repeat(np.arange(30), 10)
    failed = np.repeat(np.arange(30) % 3 == 0, 10)
    found = macro_rate(failed, triple, np.zeros(300, int))
    low, high = found.bootstrap
    assert low < 1 / 3 - 0.1 and high > 1 / 3 + 0.1  # s.e. sqrt(2/9/30) = 0.086, not sqrt(2/9/300) = 0.027
    assert macro_rate(failed, triple, np.zeros(300, int)) == found  # the same draws each time


def test_nothing_tried():
    assert rate([], []).share is None
    assert rate([], []).interval == (0.0, 1.0)


@pytest.mark.parametrize(("freedom", "exact"), [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_quantiles_of_t(freedom, exact):
    assert t_quantile(1.959964, freedom) == pytest.approx(exact, rel=0.012)  # printed tables


def test_cost_of_false_accepts():
    # 70 % wrong, 10 % of them accepted: 7 of 100; 30 % right, 90 % of them accepted: 27 of 100. 7 of 34.
    assert wasted_share(0.1, 0.9, 0.3) == pytest.approx(7 / 34)
    assert wasted_share(0.0, 0.0, 0.3) is None
