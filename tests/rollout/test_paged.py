"""Decoding over pages: the numbers of a full forward pass and of the modules, and that pages are given back."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_batches import CASES, VOCABULARY, packed_model, plain_model, tokenizer

from sibling.models import native
from sibling.models.decoder import decoder_of
from sibling.models.precision import compute
from sibling.rollout.cache import ModulesDecoding
from sibling.rollout.engine import GroupRequest, SamplingParams
from sibling.rollout.paged import PAGE, PagedDecoding, pages_of
from sibling.rollout.torch_engine import TorchEngine

pytestmark = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)

BOUND = 1e-5


def decoding_of(model, kind, prompts, siblings, max_tokens, pages=None):
    """Decoding for so many prompts at once; `pages`: what is allowed, the need of all together if None."""
    if kind == "modules":
        return ModulesDecoding(model, max_tokens)
    rows = sum(siblings)
    return PagedDecoding(
        model,
        decoder_of(model),
        pages=sum(map(pages_of, prompts)) + rows * pages_of(max_tokens) if pages is None else pages,
        rows=rows,
        max_tokens=max_tokens,
        positions=max(prompts) + max_tokens,
    )


class Script:
    """A random course of decoding: what is admitted when, every token, and after how many tokens each row leaves."""

    def __init__(self, seed, prompts, siblings, lengths, start):
        random = np.random.default_rng(seed)
        self.prompts = [random.integers(0, VOCABULARY, n) for n in prompts]
        self.siblings, self.start = siblings, start  # start: the step before which a prompt is admitted
        self.prompt_of = [p for p, n in enumerate(siblings) for _ in range(n)]
        self.tokens = [random.integers(0, VOCABULARY, n) for n in lengths]

    @property
    def room(self):
        return max(len(t) for t in self.tokens)


@torch.no_grad()
def run(script, decoding):
    """[tokens, V] logits of every row: those before each of its tokens."""
    seen = [[] for _ in script.tokens]
    live, logits, step, first = [], None, 0, np.cumsum([0, *script.siblings])
    while live or step <= max(script.start):
        due = [p for p, at in enumerate(script.start) if at == step]
        if due:
            fresh = decoding.admit([script.prompts[p] for p in due], [script.siblings[p] for p in due])
            live += [r for p in due for r in range(first[p], first[p + 1])]
            logits = fresh if logits is None else torch.cat([logits, fresh])
        step += 1
        if not live:
            continue
        for row, values in zip(live, logits, strict=True):
            seen[row].append(values)
        keep = [i for i, r in enumerate(live) if len(seen[r]) < len(script.tokens[r])]
        if len(keep) < len(live):
            decoding.keep(keep)
        live = [live[i] for i in keep]
        drawn = torch.tensor([script.tokens[r][len(seen[r]) - 1] for r in live], dtype=torch.long)
        logits = decoding.step(drawn) if live else None
    return [torch.stack(s) for s in seen]


@torch.no_grad()
def by_full_passes(script, model):
    """The same by the model's own pass over every row."""
    out = []
    for row, tokens in enumerate(script.tokens):
        prompt = script.prompts[script.prompt_of[row]]
        ids = torch.from_numpy(np.concatenate([prompt, tokens]))[None]
        out.append(model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1])
    return out


def worst(seen, wanted):
    """Largest difference of log-probs in nats, relative to their size above 1."""
    gaps = []
    for a, b in zip(seen, wanted, strict=True):
        assert a.shape == b.shape
        logp = b.log_softmax(-1)
        gaps.append(float(((a.log_softmax(-1) - logp).abs() / logp.abs().clamp(min=1.0)).max()))
    return max(gaps)


@st.composite
def scripts(draw):
    """Ragged prompts and completions of up to three pages, ends at any step, admission while others are under way."""
    groups = draw(st.integers(1, 3))
    siblings = draw(st.lists(st.integers(1, 5), min_size=groups, max_size=groups))
    prompts = draw(st.lists(st.integers(1, 70), min_size=groups, max_size=groups))
    rows = sum(siblings)
    lengths = draw(st.lists(st.integers(1, 70), min_size=rows, max_size=rows))
    start = draw(st.lists(st.integers(0, 40), min_size=groups, max_size=groups))
    return Script(draw(st.integers(0, 2**31)), prompts, siblings, lengths, start)


BORDERS = Script(0, (PAGE, PAGE + 1, 2 * PAGE), (2, 1, 2), (PAGE, PAGE + 1, 2 * PAGE, 1, 2 * PAGE + 1), (0, 1, PAGE))


@settings(max_examples=20, deadline=None)
@given(script=scripts(), case=st.sampled_from([*CASES, ("mistral", 40)]))
@example(script=BORDERS, case=("llama", None))
@example(script=BORDERS, case=("mistral", 4))
@example(script=BORDERS, case=("mistral", PAGE))
@example(script=BORDERS, case=("mistral", PAGE + 1))
def test_any_course_of_decoding(script, case):
    """Paged and through the modules, every logit is that of a full forward pass, and every page comes back."""
    model, prompts = packed_model(*case), [len(p) for p in script.prompts]
    wanted = by_full_passes(script, plain_model(*case))
    paged = decoding_of(model, "paged", prompts, script.siblings, script.room)
    pages = sorted(paged.free)
    assert worst(run(script, paged), wanted) < BOUND
    assert sorted(paged.free) == pages and not paged.tables
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIBLING_KERNELS", "torch")
        modules = decoding_of(model, "modules", prompts, script.siblings, script.room)
        assert worst(run(script, modules), wanted) < BOUND


@pytest.mark.parametrize(("architecture", "window"), CASES)
def test_more_siblings_than_one_thread_reads_together(architecture, window):
    """Twenty siblings of one prompt are two spans; a prompt of the same tokens beside it is another."""
    script = Script(1, (35, 35), (20, 1), [3 + r % 5 for r in range(21)], (0, 0))
    model = packed_model(architecture, window)
    paged = decoding_of(model, "paged", (35, 35), (20, 1), script.room)
    assert worst(run(script, paged), by_full_passes(script, plain_model(architecture, window))) < BOUND


def test_spans_are_of_one_prompt_and_not_too_long():
    paged = decoding_of(packed_model(), "paged", (5, 5), (20, 2), 4)
    with torch.no_grad():
        paged.admit([np.arange(5), np.arange(5)], [20, 2])
    assert paged.spans.tolist() == [[0, 16], [16, 20], [20, 22]]
    paged.keep([0, 18, 21])
    assert paged.spans.tolist() == [[0, 2], [2, 3]]


@pytest.mark.parametrize(("architecture", "window"), CASES)
def test_bfloat16_is_as_near_to_float32_as_the_modules_are(architecture, window):
    script = Script(2, (40, 3), (3, 2), (35, 4, 12, 33, 9), (0, 2))
    model = packed_model(architecture, window)
    wanted = torch.cat(by_full_passes(script, plain_model(architecture, window))).log_softmax(-1)
    off = {}
    for kind in ("paged", "modules"):
        with compute("bfloat16"), pytest.MonkeyPatch.context() as patch:
            if kind == "modules":
                patch.setenv("SIBLING_KERNELS", "torch")
            decoding = decoding_of(model, kind, (40, 3), (3, 2), script.room)
            off[kind] = float((torch.cat(run(script, decoding)).log_softmax(-1) - wanted).abs().mean())
    assert 0 < off["paged"] < 0.05
    assert off["paged"] < 1.3 * off["modules"]


# ------------------------------------------------------------------------------------------------------ pages


def test_pages_of():
    assert [pages_of(n) for n in (0, 1, PAGE, PAGE + 1, 2 * PAGE)] == [0, 1, 1, 2, 2]


def test_a_prompts_pages_are_held_once_and_leave_with_its_last_sibling():
    paged = decoding_of(packed_model(), "paged", (40, 3), (3, 2), 33)
    total = len(paged.free)
    assert total == 2 + 1 + 5 * 2
    with torch.no_grad():
        paged.admit([np.arange(40), np.arange(3)], [3, 2])
    assert not paged.free
    held = [page for table in paged.tables for page in table[-2:]]
    assert len(set(held)) == 10 and paged.tables[0][:2] == paged.tables[1][:2] == paged.tables[2][:2]
    rows = [0, 1, 2, 3, 4]
    for kept, free in (([0, 2, 4], 4), ([2], 9), ([], total)):
        paged.keep([rows.index(r) for r in kept])
        assert len(paged.free) == len(set(paged.free)) == free
        rows = kept


def test_pages_that_were_given_back_are_used_again():
    """Room for one group at a time is enough for many, and what others left in a page is not seen."""
    model = packed_model()
    script = Script(3, (33, 40, 1, 20), (2, 2, 2, 2), (34, 3, 2, 40, 5, 5, 33, 1), (0, 34, 74, 79))
    pages = max(map(pages_of, (33, 40, 1, 20))) + 2 * pages_of(script.room)
    paged = decoding_of(model, "paged", (33, 40, 1, 20), script.siblings, script.room, pages=pages)
    for cache in (*paged.keys, *paged.values):
        cache.fill_(float("nan"))  # whatever is read before it is written would show
    assert worst(run(script, paged), by_full_passes(script, plain_model())) < BOUND


@pytest.mark.parametrize("batch_rows", [1, 3, 8])
@pytest.mark.parametrize("siblings", [1, 4])
def test_the_engine_never_needs_more_pages_than_it_asked_for(batch_rows, siblings, monkeypatch):
    """Long and short prompts in any order of coming and going: never out of pages, and all come back."""
    made, least = [], []

    class Watched(PagedDecoding):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            made.append((self, named["pages"]))

        def _take(self, tokens):
            pages = super()._take(tokens)
            least.append(len(self.free))
            return pages

    monkeypatch.setattr("sibling.rollout.torch_engine.PagedDecoding", Watched)
    random = np.random.default_rng(0)
    asked = [
        GroupRequest(str(i), random.integers(0, VOCABULARY, n), siblings)
        for i, n in enumerate((70, 1, 33, 2, 64, 65, 5, 90))
    ]
    engine = TorchEngine(packed_model(), tokenizer(), range(2, 20), compute_dtype="float32", batch_rows=batch_rows)
    engine.generate(asked, SamplingParams(40), lambda key, s, n: np.random.default_rng([int(key), s]).random(n))
    ((decoding, pages),) = made
    assert sorted(decoding.free) == list(range(pages)) and min(least) >= 0
    lengths = sorted((pages_of(len(r.token_ids)) for r in asked), reverse=True)
    assert pages <= sum(lengths[:batch_rows]) + batch_rows * pages_of(40)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nothing_asked(dtype):
    engine = TorchEngine(packed_model(), tokenizer(), (2,), compute_dtype=dtype)

    def draws(*_):
        return np.zeros(4)

    assert engine.generate([], SamplingParams(4), draws) == []
    assert engine.generate([GroupRequest("p", np.array([5]), 0)], SamplingParams(4), draws) == [[]]
