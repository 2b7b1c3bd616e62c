"""Raw scores become verdicts: transform, clip, threshold, steps, and everything that gives no score."""

import math

import pytest

from sibling.batch import Status
from sibling.config import ModelReward
from sibling.errors import RequestError
from sibling.rewards.grade import stating
from sibling.rewards.reward_model import Scored, step_ends
from sibling.rewards.verdicts import with_sound_steps
from sibling.tasks.task import Task

TASK = Task("id", ({"role": "user", "content": "?"},), None)


def scored(scorer, **options):
    return Scored(ModelReward(path="m", **options), scorer)


def given(*raws, **options):
    """A scorer that gives these raw scores to the one text it sees: a step a line, or the outcome."""
    ends = step_ends(ModelReward(path="m", **options))
    return scored(lambda tasks, texts: [list(zip(ends(t), raws, strict=True)) for t in texts], **options)


def one(reward, text="some text"):
    (verdict,) = reward.grade([TASK], [stating(text)])
    return verdict


def test_the_logistic_function():
    for raw in (-3.0, 0.0, 0.5, 20.0, -800.0, 800.0):
        wanted = 1 / (1 + math.exp(-raw)) if raw > -700 else 0.0
        assert one(given(raw)).score == pytest.approx(wanted, abs=1e-15)
    assert one(given(-2.5, transform="none")).score == -2.5
    assert one(given(1.25)).reason == "raw score 1.25"


def test_the_range_and_the_threshold():
    options = {"transform": "none", "low": -1.0, "high": 2.0, "threshold": 1.0}
    reward = scored(lambda tasks, texts: [[(len(t), float(t))] for t in texts], **options)
    verdicts = reward.grade([TASK] * 5, [stating(t) for t in ("-9", "0.5", "1", "1.5", "77")])
    assert [v.score for v in verdicts] == [-1.0, 0.5, 1.0, 1.5, 2.0]
    assert [v.status.value for v in verdicts] == ["wrong", "wrong", "right", "right", "right"]
    found = reward.statistics()
    assert (found["scored"], found["raised_to_low"], found["lowered_to_high"]) == (5, 1, 1)
    assert found["raw_range"] == [-9.0, 77.0]


@pytest.mark.parametrize(("reduce", "total"), [("min", 0.25), ("mean", 0.5), ("product", 0.09375), ("last", 0.5)])
def test_steps(reduce, total):
    logits = [math.log(p / (1 - p)) for p in (0.75, 0.25, 0.5)]
    verdict = one(given(*logits, kind="process", reduce=reduce), "one\n\ntwo\nthree")
    assert verdict.score == pytest.approx(total)
    assert [(s.end, pytest.approx(s.score)) for s in verdict.steps] == [(5, 0.75), (9, 0.25), (14, 0.5)]
    assert (verdict.status is Status.right) == (total >= 0.5)
    assert with_sound_steps(verdict, "one\n\ntwo\nthree") == verdict
    assert "lowest is step 2" in verdict.reason


def test_steps_of_the_answer_are_counted_in_the_whole_text():
    text = "<think>a\nb</think>one\ntwo"
    verdict = one(given(0.0, 1.0, kind="process", part="answer"), text)
    assert [s.end for s in verdict.steps] == [22, 25] and verdict.span == (18, 25)
    assert with_sound_steps(verdict, text) == verdict


def test_each_step_is_kept_in_the_range():
    verdict = one(given(-9.0, 1.0, kind="process", transform="none", low=-2.0, high=0.5, reduce="mean"), "a\nb")
    assert [s.score for s in verdict.steps] == [-2.0, 0.5] and verdict.score == -0.75


def test_what_does_not_fit_is_an_abstention():
    reward = scored(lambda tasks, texts: [[] for _ in texts])
    verdict = one(reward)
    assert (verdict.status, verdict.score, verdict.code) == (Status.abstain, None, "too_long")
    assert reward.statistics()["too_long"] == 1


def test_nothing_to_score():
    def never(tasks, texts):
        raise AssertionError("it is not asked")

    for text in ("", " \n", "<think>unfinished"):
        verdict = one(scored(never, part="answer"), text)
        assert (verdict.status, verdict.score, verdict.code) == (Status.wrong, 0.0, "empty")
    assert one(scored(never, low=0.2), "").score == 0.2
    assert one(scored(never, transform="none"), "").status is Status.abstain
    assert one(scored(never, transform="none", low=-3.0), "").score == -3.0
    blank = one(scored(never, kind="process"), " ")
    assert blank.steps[0].end == 1 and with_sound_steps(blank, " ") == blank


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_score(raw):
    verdict = one(given(raw))
    assert (verdict.status, verdict.score, verdict.code) == (Status.error, None, "not_finite")


def test_a_model_that_fails_gives_errors():
    def fails(tasks, texts):
        raise RuntimeError("out of memory")

    reward = scored(fails)
    empty, full = reward.grade([TASK] * 2, [stating(" "), stating("text")])
    assert (empty.code, full.status, full.code) == ("empty", Status.error, "failed")
    assert "out of memory" in full.reason and reward.statistics()["failed"] == 1
    short = scored(lambda tasks, texts: [])
    assert one(short).code == "failed", "fewer answers than questions"


def test_the_texts_and_tasks_stay_together():
    seen = []

    def scorer(tasks, texts):
        seen.extend(zip([t.id for t in tasks], texts, strict=True))
        return [[(len(t), float(t))] for t in texts]

    tasks = [Task(str(i), TASK.messages, None) for i in range(4)]
    verdicts = scored(scorer, transform="none", low=-1.0).grade(tasks, [stating(t) for t in ("1", " ", "3", "4")])
    assert seen == [("0", "1"), ("2", "3"), ("3", "4")]
    assert [v.score for v in verdicts] == [1.0, -1.0, 3.0, 4.0] and all(v.seconds > 0 for v in verdicts)
    assert scored(scorer).grade([], []) == [] and scored(scorer).problem_with(TASK) is None


def test_the_record_names_the_model():
    def scorer(tasks, texts):
        return [[(len(t), 0.0)] for t in texts]

    assert scored(scorer).facts() == {}
    scorer.digest = "sha256:ab"
    assert scored(scorer).facts() == {"model_digest": "sha256:ab"}


def test_what_cannot_be_built():
    with pytest.raises(RequestError, match="range"):
        given(0.0, low=1.0, high=0.0)
    with pytest.raises(RequestError, match="two negative"):
        given(0.0, kind="process", reduce="product", transform="none")


def test_with_a_real_model(tmp_path):
    """The scorer of `models.scoring` behind the verdicts: steps, range and what does not fit."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForTokenClassification, LlamaConfig

    from sibling.models import tiny
    from sibling.models.quiet import quiet
    from sibling.models.scoring import load_scorer

    tokenizer = tiny.build_tokenizer()
    settings = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, num_labels=1, initializer_range=0.5, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(1)
        AutoModelForTokenClassification.from_config(settings).save_pretrained(tmp_path / "prm")
        tokenizer.save_pretrained(tmp_path / "prm")
    config = ModelReward(path="prm", kind="process", part="answer", reduce="mean", max_tokens=80)
    reward = Scored(config, load_scorer(config, base=tmp_path, ends=step_ends(config)))
    texts = ["<think>\n</think>one\ntwo", "one\ntwo", "x" * 90, ""]
    first, second, long, empty = reward.grade([TASK] * 4, [stating(t) for t in texts])
    assert [s.end for s in first.steps] == [20, 23] and [s.end for s in second.steps] == [4, 7]
    assert [s.score for s in first.steps] == pytest.approx([s.score for s in second.steps])
    assert first.score == pytest.approx(sum(s.score for s in first.steps) / 2) and 0 < first.score < 1
    assert (long.code, empty.code) == ("too_long", "empty")
    assert reward.facts()["model_digest"].startswith("sha256:")
