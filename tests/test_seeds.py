"""Every draw is a pure function of a seed and a name."""

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.seeds import derive, stream, uniforms

NAMES = st.lists(st.text(max_size=8) | st.integers(-(2**40), 2**40), max_size=4)


def test_derive_is_the_first_half_of_a_sha256() -> None:
    # By hand: the key is the JSON list of the seed and the names, without spaces.
    expected = hashlib.sha256(b'[7,"sample",3,"p",1]').digest()[:16]
    assert derive(7, "sample", 3, "p", 1) == int.from_bytes(expected, "big")


def test_uniforms_are_a_philox_stream_under_that_key() -> None:
    # A second implementation: if this changes, runs recorded before cannot be resumed or replayed.
    key = int.from_bytes(hashlib.sha256(b'[0,"sample",12,"prompt-a",3]').digest()[:16], "big")
    expected = np.random.Generator(np.random.Philox(key=key)).random(5)
    assert np.array_equal(uniforms(0, 12, "prompt-a", 3, 5), expected)


@given(st.integers(0, 2**53 - 1), NAMES)
@settings(deadline=None, max_examples=50)
def test_the_same_name_gives_the_same_draws(seed: int, names: list[str | int]) -> None:
    assert np.array_equal(stream(seed, *names).random(4), stream(seed, *names).random(4))


@given(st.integers(0, 2**53 - 1), NAMES, NAMES)
@settings(deadline=None, max_examples=50)
def test_other_names_give_other_keys(seed: int, one: list[str | int], other: list[str | int]) -> None:
    assert (derive(seed, *one) == derive(seed, *other)) == (one == other)


def test_a_number_and_its_text_are_different_names() -> None:
    assert len({derive(1, "2"), derive(1, 2), derive(12), derive(1, "2", ""), derive(2, 1)}) == 5


@given(st.integers(1, 40), st.integers(0, 40))
@settings(deadline=None, max_examples=30)
def test_asking_for_more_tokens_does_not_change_the_first(count: int, more: int) -> None:
    longer = uniforms(3, 1, "p", 0, count + more)
    assert np.array_equal(uniforms(3, 1, "p", 0, count), longer[:count])


def test_each_coordinate_of_a_completion_changes_its_draws() -> None:
    base = (5, 2, "p", 0)
    variants = [base, (6, 2, "p", 0), (5, 3, "p", 0), (5, 2, "q", 0), (5, 2, "p", 1)]
    assert len({uniforms(*v, 3).tobytes() for v in variants}) == len(variants)


def test_uniforms_of_a_group_are_uniform_and_uncorrelated_between_siblings() -> None:
    draws = np.stack([uniforms(0, 0, "p", sibling, 2000) for sibling in range(8)])
    assert draws.dtype == np.float64 and draws.min() >= 0 and draws.max() < 1
    # Standard error of a mean of 16,000 uniforms is 0.0023; the bound is five of them.
    assert abs(draws.mean() - 0.5) < 0.0115
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)


def test_the_statistical_check_can_fail() -> None:
    same = np.stack([uniforms(0, 0, "p", 0, 2000)] * 2)
    assert np.corrcoef(same)[0, 1] > 0.99
