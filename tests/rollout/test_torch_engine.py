"""The embedded engine: what it draws, when it ends, what it reports, and that rows do not know each other."""

from collections import Counter

import numpy as np
import pytest
import torch
from small_batches import CASES, counted_tokens, packed_model, plain_model, ragged_prompts, tokenizer
from torch.utils._python_dispatch import TorchDispatchMode

from sibling.batch import Finish
from sibling.config import FullFinetune, Learner, LoraFinetune
from sibling.errors import NonFiniteError
from sibling.learner.state import LearnerState
from sibling.models import native
from sibling.rollout import torch_engine
from sibling.rollout.engine import GroupRequest, SamplingParams
from sibling.rollout.torch_engine import TorchEngine
from sibling.seeds import uniforms

needs_kernels = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)


@pytest.fixture
def kernels(request, monkeypatch):
    """How the model is run: by the kernels, or through transformers' modules."""
    monkeypatch.setenv("SIBLING_KERNELS", request.param)


def on_both(test):
    """Run a test both ways."""
    ways = [pytest.param("native", marks=needs_kernels), "torch"]
    return pytest.mark.usefixtures("kernels")(pytest.mark.parametrize("kernels", ways, indirect=True)(test))


MANY_EOS = tuple(range(2, 42))  # forty ids end a completion: rows end at many different lengths
PROMPTS = ragged_prompts(5, 5)
SHAPES = [
    {"temperature": 0.6},
    {"temperature": 1.0, "top_k": 7},
    {"temperature": 1.3, "top_p": 0.8},
    {"temperature": 0.9, "min_p": 0.1},
    {"temperature": 0.8, "top_k": 50, "top_p": 0.9, "min_p": 0.05},
]


def engine_of(model, eos=MANY_EOS, batch_rows=128, words=None):
    return TorchEngine(model, words or tokenizer(), eos, compute_dtype="float32", batch_rows=batch_rows)


def streams(key, sibling, count):
    return uniforms(17, 3, key, sibling, count)


def requests(prompts=PROMPTS, siblings=4):
    return [GroupRequest(f"prompt {i}", p, siblings) for i, p in enumerate(prompts)]


def generate(engine, asked=None, max_tokens=12, draws=streams, progress=None, **params):
    return engine.generate(asked or requests(), SamplingParams(max_tokens, **params), draws, progress)


def naive_distribution(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0):
    """[V] probabilities in float64, by loops; see tests/maths/test_likelihood.py."""
    weight = np.exp((logits - logits.max()) / temperature)
    if top_k:
        weight[weight < np.sort(weight)[-top_k]] = 0.0
    if top_p < 1.0:
        order = np.argsort(-weight)
        before = np.cumsum(weight[order]) - weight[order]
        weight[order[before >= top_p * weight.sum()]] = 0.0
    weight[weight < min_p * weight.max()] = 0.0
    return weight / weight.sum()


@torch.no_grad()
def next_logits(model, prompt, tokens):
    """[T, V] logits in float64 at the positions that predict `tokens`, by the model's own forward pass."""
    ids = torch.from_numpy(np.concatenate([prompt, tokens]).astype(np.int64))[None]
    return model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].double().numpy()


def forcing(model, wanted):
    """Uniforms under which inversion draws the tokens wanted: the middle of each one's interval.

    `wanted`: request key -> (prompt, [tokens of each sibling]).
    """

    def draws(key, sibling, count):
        prompt, rows = wanted[key]
        tokens = np.array(rows[sibling])
        middles = []
        for logits, token in zip(next_logits(model, prompt, tokens), tokens, strict=True):
            p = naive_distribution(logits)
            middles.append(p[:token].sum() + p[token] / 2)
        return np.array((middles + [0.5] * count)[:count])

    return draws


def say(texts, eos=(2,), max_tokens=40, words=None, stop=()):
    """Completions of an engine whose uniforms make it say `texts` (then EOS), one sibling each."""
    words = words or tokenizer()
    rows = [[*words.encode(t, add_special_tokens=False), 2] for t in texts]
    prompt = np.array([5, 6, 7])
    draws = forcing(plain_model(), {"p": (prompt, rows)})
    asked = [GroupRequest("p", prompt, len(texts))]
    return generate(engine_of(packed_model(), eos, words=words), asked, max_tokens, draws, stop=stop)[0]


def tokens_of(groups):
    return [[c.token_ids.tolist() for c in g] for g in groups]


# ------------------------------------------------------------------------------------------------- the draws


def test_uniforms_decide_the_text():
    texts = ["hello", "Grüße, 世界!", "a b\nc", ""]
    assert [c.text for c in say(texts)] == texts


@on_both
@pytest.mark.parametrize(("architecture", "window"), CASES)
def test_draws_do_not_depend_on_the_batch(architecture, window):
    """The same tokens in one batch, with 1, 3 and 7 rows at a time, and each prompt alone."""
    model = packed_model(architecture, window)
    together = generate(engine_of(model))
    lengths = {len(c.token_ids) for g in together for c in g}
    assert len(lengths) > 1  # rows were retired on the way
    for rows in (1, 3, 7):
        assert tokens_of(generate(engine_of(model, batch_rows=rows))) == tokens_of(together)
    for i, request in enumerate(requests()):
        (alone,) = generate(engine_of(model), [request])
        assert tokens_of([alone]) == tokens_of([together[i]])
        for a, b in zip(alone, together[i], strict=True):
            assert a.finish is b.finish and a.text == b.text
            assert a.logprobs == pytest.approx(b.logprobs, rel=1e-5, abs=1e-5)


def test_the_order_of_requests_changes_nothing():
    engine, asked = engine_of(packed_model()), requests()
    assert tokens_of(generate(engine, asked[::-1])) == tokens_of(generate(engine, asked))[::-1]


def test_more_siblings_leave_the_first_ones_as_they_were():
    engine = engine_of(packed_model())
    few, many = generate(engine, requests(siblings=2)), generate(engine, requests(siblings=6))
    assert tokens_of(few) == [g[:2] for g in tokens_of(many)]


def test_siblings_and_keys_have_streams_of_their_own():
    prompt = PROMPTS[0]
    asked = [GroupRequest("one", prompt, 3), GroupRequest("two", prompt, 3)]
    rows = [r for g in tokens_of(generate(engine_of(packed_model(), eos=()), asked)) for r in g]
    assert len({tuple(r) for r in rows}) == 6
    assert tokens_of(generate(engine_of(packed_model(), eos=()), asked)) == [rows[:3], rows[3:]]


def test_nothing_asked_nothing_drawn():
    assert generate(engine_of(packed_model()), [GroupRequest("p", PROMPTS[0], 0)]) == [[]]


# ---------------------------------------------------------------------------------------------- log-probs


@on_both
@pytest.mark.parametrize("shape", [{}, *SHAPES], ids=str)
def test_log_probs_are_those_of_the_distribution_drawn_from(shape):
    plain = plain_model("qwen3")
    for prompt, group in zip(PROMPTS, generate(engine_of(packed_model("qwen3")), **shape), strict=True):
        for c in group:
            rows = next_logits(plain, prompt, c.token_ids)
            p = [naive_distribution(row, **shape)[t] for row, t in zip(rows, c.token_ids, strict=True)]
            assert min(p) > 0  # nothing outside the support is drawn
            assert c.logprobs == pytest.approx(np.log(p), rel=2e-5, abs=2e-5)
            assert c.logprobs.dtype == np.float32 and c.token_ids.dtype == np.int64


def chi_square(shape, against):
    """(statistic, degrees of freedom) of 8,000 first tokens drawn under `shape`, against the distribution `against`."""
    prompt, n = np.array([40, 41, 42]), 8000
    group = generate(
        engine_of(packed_model(), eos=(), batch_rows=1000), [GroupRequest("chi", prompt, n)], max_tokens=1, **shape
    )[0]
    seen = np.bincount([c.token_ids[0] for c in group], minlength=259)
    wanted = n * naive_distribution(next_logits(plain_model(), prompt, np.array([0]))[0], **against)
    assert not seen[wanted == 0].any()
    common = wanted >= 5  # the rest is pooled into one cell
    cells = [np.append(x[common], x[~common].sum()) for x in (seen, wanted)]
    keep = cells[1] > 0
    return float((((cells[0] - cells[1]) ** 2)[keep] / cells[1][keep]).sum()), int(keep.sum()) - 1


@pytest.mark.parametrize("shape", [{}, SHAPES[0], SHAPES[4]], ids=str)
def test_frequencies_are_those_of_the_distribution(shape):
    statistic, freedom = chi_square(shape, shape)
    assert freedom > 15
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)  # mean and standard deviation of chi-square; seeds are fixed


@pytest.mark.parametrize("against", [{"temperature": 1.3}, {"temperature": 0.75}])
def test_must_fail_another_distribution_is_told_apart(against):
    statistic, freedom = chi_square({}, against)
    assert statistic > freedom + 8 * np.sqrt(2 * freedom)


# -------------------------------------------------------------------------------------------------- greedy


@pytest.mark.parametrize(("architecture", "window"), CASES)
def test_greedy_is_that_of_transformers(architecture, window):
    plain = plain_model(architecture, window)
    groups = generate(engine_of(packed_model(architecture, window), eos=(2,)), temperature=0.0, max_tokens=15)
    for prompt, group in zip(PROMPTS, groups, strict=True):
        ids = torch.from_numpy(prompt)[None]
        out = plain.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=15, do_sample=False, eos_token_id=2, pad_token_id=0
        )
        wanted = out[0, len(prompt) :].tolist()
        assert [c.token_ids.tolist() for c in group] == [wanted] * 4
        assert all((c.logprobs == 0).all() for c in group)


def test_greedy_draws_no_random_numbers():
    def refuse(*_):
        raise AssertionError("a uniform was asked for")

    generate(engine_of(packed_model()), temperature=0.0, draws=refuse)


# ------------------------------------------------------------------------------------------------ the end


def test_the_eos_token_is_kept_and_its_text_is_not():
    (c,) = say(["hi"])
    assert c.finish is Finish.eos
    assert c.token_ids.tolist() == [*tokenizer().encode("hi", add_special_tokens=False), 2]
    assert c.text == "hi" and len(c.logprobs) == 3


def test_any_of_several_eos_ids_ends_it():
    letters = tokenizer().encode("xyz", add_special_tokens=False)
    first, second = say(["abxcd", "abzcd"], eos=(letters[0], letters[2], 2))
    assert (first.text, second.text) == ("ab", "ab")
    assert first.token_ids[-1] == letters[0] and second.token_ids[-1] == letters[2]
    assert first.finish is second.finish is Finish.eos


def test_max_tokens():
    first, second = say(["abcdef", "ab"], max_tokens=3)
    assert first.finish is Finish.length and first.text == "abc" and len(first.token_ids) == 3
    assert second.finish is Finish.eos and len(second.token_ids) == 3  # the EOS just fits
    (one,) = say(["abc"], max_tokens=1)
    assert one.finish is Finish.length and one.text == "a"


@pytest.mark.parametrize(
    ("text", "stop", "wanted"),
    [
        ("say STOP now", ("STOP",), "say STOP"),  # four byte tokens
        ("a.b;c", (";", "."), "a."),  # whichever comes first
        ("one\n\ntwo", ("\n\n",), "one\n\n"),
        ("preis: 5 € ok", ("€",), "preis: 5 €"),  # one character of three tokens
        ("日本語です", ("語で",), "日本語で"),
        ("ababac!", ("abac",), "ababac"),  # a false start before it
        ("never", ("STOP",), "never"),
        ("x" * 30 + "END", ("END",), "x" * 30 + "END"),
    ],
)
def test_stop_strings(text, stop, wanted):
    (c,) = say([text], stop=stop)
    assert c.text == wanted
    assert c.finish is (Finish.eos if wanted == text and "END" not in text else Finish.stop)


def test_a_stop_string_at_the_last_token_is_a_stop():
    (c,) = say(["abSTOPcd"], stop=("STOP",), max_tokens=6)
    assert c.finish is Finish.stop and c.text == "abSTOP"


def test_the_eos_goes_before_a_stop_string():
    eos = tokenizer().encode("!", add_special_tokens=False)[0]
    (c,) = say(["ab!"], stop=("!",), eos=(eos,))
    assert c.finish is Finish.eos and c.text == "ab"


def words_tokenizer():
    """259 tokens of three letters each, so that a stop string begins within one token and ends within another."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = [chr(97 + i // 26 % 26) + chr(97 + i % 26) + chr(65 + i // 26) for i in range(258)]
    core = Tokenizer(models.WordLevel({n: i for i, n in enumerate([*names, "<unk>"])}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", clean_up_tokenization_spaces=False)


def test_a_stop_string_across_the_borders_of_longer_tokens():
    words = words_tokenizer()
    prompt, tokens = np.array([5, 6, 7]), [30, 61, 100, 200, 9]
    text = words.decode(tokens)
    assert len(text) == 15
    for begin, end in ((2, 4), (1, 8), (5, 7), (4, 5)):
        engine = engine_of(packed_model(), eos=(), words=words)
        draws = forcing(plain_model(), {"p": (prompt, [tokens])})
        (c,) = generate(engine, [GroupRequest("p", prompt, 1)], 5, draws, stop=(text[begin:end],))[0]
        covered = -(-end // 3)  # tokens it takes to reach the end of the string; the last one is kept whole
        assert c.token_ids.tolist() == tokens[:covered] and c.finish is Finish.stop
        assert c.text == text[: 3 * covered]


def test_a_stopped_run_is_the_beginning_of_the_unstopped_one():
    engine = engine_of(packed_model(), eos=())
    whole = generate(engine, max_tokens=20)
    letters = [c.text[6] for g in whole for c in g if len(c.text) > 6][:2]
    for long, short in zip(whole, generate(engine, max_tokens=20, stop=tuple(letters)), strict=True):
        for a, b in zip(long, short, strict=True):
            n = len(b.token_ids)
            assert a.token_ids[:n].tolist() == b.token_ids.tolist()
            assert b.finish is (Finish.stop if any(x in b.text for x in letters) else Finish.length)


# ---------------------------------------------------------------------------------------------- housekeeping


@on_both
def test_finished_rows_leave_the_batch():
    model = packed_model()
    with counted_tokens(model) as passes:
        groups = generate(engine_of(model), max_tokens=12)
    lengths = [len(c.token_ids) for g in groups for c in g]
    assert passes[0] == sum(len(p) for p in PROMPTS)  # one prefill, every prompt once
    live = [sum(n > drawn for n in lengths) for drawn in range(1, max(lengths))]
    assert len(passes) == 1 + len(live)
    for computed, wanted in zip(passes[1:], live, strict=True):
        assert wanted <= computed <= wanted / 0.75  # a few finished rows ride along until the next compaction
    assert sum(passes[1:]) < 20 * len(live)


class Watch:
    """Decoding that notes what it is asked to do; the numbers are those of the decoding behind it."""

    def __init__(self, inner):
        self.inner, self.compact_below, self.live = inner, inner.compact_below, 0
        self.admitted, self.most, self.course = [], 0, []

    def admit(self, prompts, siblings):
        self.live += sum(siblings)
        self.most = max(self.most, self.live)
        self.admitted.append((len(self.course), list(siblings)))
        return self.inner.admit(prompts, siblings)

    def step(self, tokens):
        assert len(tokens) == self.live
        self.course.append(self.live)
        return self.inner.step(tokens)

    def keep(self, rows):
        self.live = len(rows)
        self.inner.keep(rows)


def watched(engine):
    """The engine, and the `Watch` of each generation."""
    seen, make = [], engine._decoding

    def decoding(*given):
        seen.append(Watch(make(*given)))
        return seen[-1]

    engine._decoding = decoding
    return engine, seen


@on_both
@pytest.mark.parametrize("batch_rows", [1, 4, 6, 9])
def test_groups_come_in_as_rows_end_and_never_too_many(batch_rows):
    engine, seen = watched(engine_of(packed_model(), batch_rows=batch_rows))
    groups = generate(engine, requests(ragged_prompts(9, 8)))
    (watch,) = seen
    assert watch.most <= batch_rows
    asked = [n for _, counts in watch.admitted for n in counts]
    # A group that fits is never cut: its prompt is computed once.
    assert asked == ([4] * 8 if batch_rows >= 4 else [1] * 32)
    starts = [step for step, _ in watch.admitted]
    assert starts[0] == 0 and starts == sorted(starts) and len(set(starts)) > 1
    if batch_rows == 9:  # while others are under way: nobody waits for a wave to end
        assert any(watch.course[s] > sum(counts) for s, counts in watch.admitted[1:])
    drawn = sum(len(c.token_ids) for g in groups for c in g)
    assert sum(watch.course) >= drawn - 32  # the first token of a row comes with its prompt


@on_both
def test_what_fits_comes_in_at_once():
    """5 prompts of 4 siblings: beside one group in 6 rows a second one does not fit, in 9 rows it does."""
    engine, seen = watched(engine_of(packed_model(), eos=(), batch_rows=6))
    generate(engine, max_tokens=3)
    assert seen[0].admitted == [(2 * i, [4]) for i in range(5)] and seen[0].course == [4] * 10
    engine, seen = watched(engine_of(packed_model(), eos=(), batch_rows=9))
    generate(engine, max_tokens=3)
    assert seen[0].admitted == [(0, [4, 4]), (2, [4, 4]), (4, [4])] and seen[0].course == [8, 8, 8, 8, 4, 4]


@on_both
def test_a_group_larger_than_the_batch_is_cut():
    asked = requests(PROMPTS[:2])
    engine, seen = watched(engine_of(packed_model(), eos=(), batch_rows=3))
    groups = generate(engine, asked, max_tokens=2)
    assert [counts for _, counts in seen[0].admitted] == [[3], [1], [3], [1]]
    assert tokens_of(groups) == tokens_of(generate(engine_of(packed_model(), eos=()), asked, max_tokens=2))


@on_both
def test_a_row_that_ended_long_ago_rides_along_without_harm():
    """Old rows end at the bound while most others are young: none is computed beyond its buffers."""
    for seed in range(4):
        asked = [GroupRequest(f"{seed} {i}", p, 1) for i, p in enumerate(ragged_prompts(seed, 60))]
        few = generate(engine_of(packed_model(), batch_rows=16), asked)
        assert tokens_of(few) == tokens_of(generate(engine_of(packed_model()), asked))


def test_prompts_are_computed_in_passes_of_bounded_length(monkeypatch):
    monkeypatch.setattr(torch_engine, "_PREFILL_TOKENS", 12)
    asked = [GroupRequest(str(n), np.arange(n), 1) for n in (5, 7, 1, 30, 2)]
    engine, seen = watched(engine_of(packed_model(), eos=()))
    generate(engine, asked, max_tokens=2)
    assert seen[0].admitted == [(0, [1, 1]), (0, [1]), (0, [1]), (0, [1])]  # 5 + 7 tokens, 1, 30, 2


# ------------------------------------------------------------------------------------------------ told as it ends


@on_both
@pytest.mark.parametrize("batch_rows", [3, 6, 128])
def test_a_request_is_handed_over_once_as_soon_as_its_last_sibling_ended(batch_rows):
    told, done = [], []
    groups = engine_of(packed_model(), batch_rows=batch_rows).generate(
        requests(ragged_prompts(9, 8)),
        SamplingParams(12),
        streams,
        progress=lambda *now: done.append(now[0]),
        finished=lambda index, completions: told.append((index, completions, len(done))),
    )
    assert sorted(index for index, _, _ in told) == list(range(8))
    for index, completions, _ in told:
        assert all(a is b for a, b in zip(completions, groups[index], strict=True))  # in order, and the same ones
    steps = [step for _, _, step in told]
    assert steps == sorted(steps) and len(set(steps)) > 2
    assert done[steps[0]] < 32  # before others have ended
    if batch_rows == 128:  # all begin at once, so a request ends with the longest of its siblings
        assert [s + 1 for s in steps] == [max(len(c.token_ids) for c in groups[index]) for index, _, _ in told]


@on_both
def test_an_error_of_whoever_is_told_ends_the_generation():
    model = packed_model().train()
    with pytest.raises(ZeroDivisionError):
        engine_of(model).generate(requests(), SamplingParams(12), streams, finished=lambda *_: 1 / 0)
    assert model.training


@on_both
def test_progress_is_told_and_ends_complete():
    seen = []
    groups = generate(engine_of(packed_model(), batch_rows=7), progress=lambda *now: seen.append(now))
    tokens = sum(len(c.token_ids) for g in groups for c in g)
    assert seen[-1] == (20, 20, tokens)
    assert seen == sorted(seen) and all(total == 20 for _, total, _ in seen)


def test_the_model_is_left_as_it_was():
    model = packed_model()
    before = {n: p.clone() for n, p in model.named_parameters()}
    for training in (True, False):
        model.train(training)
        generate(engine_of(model), max_tokens=2)
        assert model.training is training
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in model.named_parameters())


@on_both
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(temperature, value):
    model = packed_model()
    with torch.no_grad():
        model.model.norm.weight[0] = value
    with pytest.raises(NonFiniteError, match="logits that are not finite"):
        generate(engine_of(model), temperature=temperature)


class Casts(TorchDispatchMode):
    """Counts the casts of each weight to bfloat16: those of autocast, and those into a buffer that is there."""

    def __init__(self, parameters):
        super().__init__()
        self.weights = {p.data_ptr() for p in parameters if p.ndim == 2}
        self.seen = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[0] if function is torch.ops.aten._to_copy.default else args[1]
            if out.dtype is torch.bfloat16 and source.data_ptr() in self.weights:
                self.seen[source.data_ptr()] += 1
        return out


def sampled_from(finetune):
    state = LearnerState(plain_model(), Learner(finetune=finetune), total_updates=9, seed=0)
    return state, TorchEngine(state.sampling_model, tokenizer(), (), compute_dtype="bfloat16")


def casts_of(state, engine):
    with Casts(state.sampling_model.parameters()) as casts:
        generate(engine, max_tokens=5)
    return sorted(casts.seen.values())


finetunes = pytest.mark.parametrize("finetune", [FullFinetune(), LoraFinetune(rank=4)], ids=lambda f: f.type)


@finetunes
def test_through_the_modules_each_weight_is_cast_once_a_generation(finetune, monkeypatch):
    """Autocast caches its copies of weights that ask for a gradient, and of no others."""
    monkeypatch.setenv("SIBLING_KERNELS", "torch")
    state, engine = sampled_from(finetune)
    for _ in range(2):
        # q, k, v, o, gate, up, down of two layers; the head is multiplied as it is
        assert casts_of(state, engine) == [1] * (2 * 7)


@needs_kernels
@finetunes
def test_with_kernels_each_weight_is_cast_once_an_update(finetune):
    """Learner and sampler share the copy; it is made again when the optimizer or a merge has written the weight."""
    state, engine = sampled_from(finetune)
    assert casts_of(state, engine) == [1] * (2 * 7 + 1)  # and the head
    assert casts_of(state, engine) == []
    for _ in range(2):
        for _, p in state.parameters:
            p.grad = torch.ones_like(p)
        state.update()
        state.publish()
        head = finetune.type == "full"  # a merge leaves the head as it was
        assert casts_of(state, engine) == [1] * (2 * 7 + head)
        assert casts_of(state, engine) == []


def test_the_mode_is_put_back_after_an_error():
    model = packed_model().train()
    with pytest.raises(ZeroDivisionError):
        generate(engine_of(model), progress=lambda *_: 1 / 0)
    assert model.training
