"""Characters to tokens: each step ends at the first token that completes its last character."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Completion, Finish, StepScore
from sibling.errors import RunError
from sibling.models import embedded
from sibling.models.tiny import build_tokenizer
from sibling.rollout.steps import step_tokens


@functools.cache
def tokenizer(name):
    if name == "tiny":
        return build_tokenizer()
    from transformers import PreTrainedTokenizerFast

    folder = embedded.location()
    if not (folder / "tokenizer.json").is_file():
        pytest.skip("the embedded model is not in the cache")
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def decoder(name):
    own = tokenizer(name)

    def decode(ids):
        return own.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    return decode


def completion(ids, name, finish):
    own = tokenizer(name)
    tokens = [*ids, own.eos_token_id] if finish is Finish.eos else ids
    return Completion(
        np.array(tokens, dtype=np.int64), np.zeros(len(tokens), np.float32), finish, decoder(name)(list(ids))
    )


def said(text, name="tiny", finish=Finish.eos):
    own = tokenizer(name)
    ids = own(text, add_special_tokens=False)["input_ids"]  # none where the vocabulary lacks the bytes
    return completion(ids or [own.eos_token_id] * (finish is Finish.length), name, finish)


def places(done, ends, name="tiny"):
    return step_tokens(done, [StepScore(e, float(i)) for i, e in enumerate(ends)], decoder(name))


def test_one_byte_a_token():
    ends, scores = places(said("ab\ncd\nef"), [3, 6, 8])
    assert ends.tolist() == [2, 5, 8], "the last step takes the EOS token"
    assert (ends.dtype, scores.dtype, scores.tolist()) == (np.int64, np.float64, [0.0, 1.0, 2.0])
    assert places(said("ab\ncd\nef", finish=Finish.length), [3, 6, 8])[0].tolist() == [2, 5, 7]
    assert places(said("ab\ncd\nef"), [3, 6])[0].tolist() == [2, 5], "a tail outside every step stays outside"


def test_a_character_belongs_to_the_token_that_completes_it():
    # é is 2 bytes, € 3, 𝄞 4: characters end at tokens 1, 4 and 8; the line break is token 9
    ends, _ = places(said("é€𝄞\nx"), [1, 2, 3, 4, 5])
    assert ends.tolist() == [1, 4, 8, 9, 11]


def test_no_steps_and_an_empty_completion():
    ends, scores = places(said("abc"), [])
    assert (ends.shape, scores.shape) == ((0,), (0,))
    assert (ends.dtype, scores.dtype) == (np.int64, np.float64)
    assert places(said(""), [1])[0].tolist() == [0], "the EOS token alone is the one step"


def test_a_token_over_two_steps_ends_the_first():
    """A token `.\\n\\n` or `\\nThe` may hold the end of one step and the start of the next."""
    name = "embedded"
    done = said("one;\n\n\n\ntwo", name)
    pieces = [decoder(name)([i]) for i in done.token_ids[:-1].tolist()]
    wide = next(i for i, piece in enumerate(pieces) if piece.count("\n") > 1)
    first = len("".join(pieces[:wide])) + 1
    ends, _ = places(done, [first, first + 1, len(done.text)], name)
    assert ends.tolist() == [wide, wide, len(done.token_ids) - 1]


def test_tokens_that_do_not_say_the_text_are_refused():
    other = Completion(np.array([70, 71, 72]), np.zeros(3, np.float32), Finish.length, "another text")
    with pytest.raises(RunError, match=r"do not say its text.*Wanted: 'anoth'"):
        places(other, [5])


def test_a_bisection_decodes_few_beginnings():
    calls = []
    own = decoder("tiny")

    def decode(ids):
        calls.append(len(ids))
        return own(ids)

    step_tokens(said("a" * 1000), [StepScore(e, 0.0) for e in (100, 500, 900, 1000)], decode)
    assert len(calls) <= 1 + 3 * 10  # ceil(log2(1001)) = 10 a step, and the whole once


def naive(done, ends, name):
    """Every beginning, from the shortest."""
    own, tokens, out = decoder(name), done.token_ids.tolist(), []
    for end in ends:
        hits = [t for t in range(len(tokens)) if own(tokens[: t + 1])[:end] == done.text[:end]]
        out.append(len(tokens) - 1 if end >= len(done.text) else hits[0])
    return out


def some_ends(data, length):
    return sorted(data.draw(st.sets(st.integers(1, max(1, length)), max_size=5)))


def check(done, ends, name):
    found, _ = places(done, ends, name)
    assert found.tolist() == naive(done, ends, name)
    assert all(0 <= i < len(done.token_ids) for i in found)
    assert np.all(np.diff(found) >= 0)


finishes = st.sampled_from([Finish.eos, Finish.length])


@settings(deadline=None, max_examples=60)
@given(st.data(), st.text(max_size=25), finishes)
@pytest.mark.parametrize("name", ["tiny", "embedded"])
def test_any_text(name, data, text, finish):
    done = said(text, name, finish)
    check(done, some_ends(data, len(done.text)), name)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(0, 2**32 - 1), st.integers(1, 20), finishes)
@pytest.mark.parametrize("name", ["tiny", "embedded"])
def test_tokens_drawn_at_random_with_broken_characters(name, data, seed, length, finish):
    size = len(tokenizer(name))
    done = completion(np.random.default_rng(seed).integers(3, size, length).tolist(), name, finish)
    check(done, some_ends(data, len(done.text)), name)
