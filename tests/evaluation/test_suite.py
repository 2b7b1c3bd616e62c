import json
import zlib

import numpy as np
import pytest

from sibling.batch import Completion, Finish, Prompt, Status, Verdict
from sibling.canonical import canonical_json
from sibling.errors import RequestError, RunError
from sibling.evaluation.suite import evaluate
from sibling.maths.intervals import wilson_interval
from sibling.rollout.engine import SamplingParams
from sibling.tasks.task import Task

PARAMS = SamplingParams(max_tokens=4, temperature=0.8, top_p=0.9, top_k=5, min_p=0.1, stop=("!",))


def tasks(*references):
    return [Task(f"t{i}", ({"role": "user", "content": f"say {r}"},), r) for i, r in enumerate(references)]


def encode(task):
    text = task.messages[0]["content"]
    return Prompt(task.id, text, np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64), task.reference)


def completion(text, finish=Finish.eos):
    ids = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
    return Completion(ids, np.zeros(len(ids), dtype=np.float32), finish, text)


class Scripted:
    """An engine that says what its script holds: {key: (greedy text, [sampled texts])}."""

    def __init__(self, script):
        self.script, self.calls = script, []

    def __call__(self, requests, params):
        self.calls.append(([(r.key, r.siblings, bytes(r.token_ids.tolist()).decode()) for r in requests], params))
        return [self.group(r, params) for r in requests]

    def group(self, request, params):
        greedy, sampled = self.script[request.key]
        texts = [greedy] if params.temperature == 0 else sampled[: request.siblings]
        return [completion(t, Finish.length if len(t) == params.max_tokens else Finish.eos) for t in texts]


def grade(owners, completions):
    """Right if the text is the reference; "?" makes the reward abstain, "#" makes it fail; a second reward dissents."""
    statuses = {"?": Status.abstain, "#": Status.error}
    dissent = Verdict(Status.wrong, 0.0)

    def verdict(task, text):
        if text in statuses:
            return Verdict(statuses[text], None)
        return Verdict(Status.right, 1.0) if text == task.reference else Verdict(Status.wrong, 0.0)

    return [(verdict(t, c.text), dissent) for t, c in zip(owners, completions, strict=True)]


SCRIPT = {
    "t0": ("a", ["a", "x", "a"]),  # greedy right, 2 of 3
    "t1": ("x", ["b", "b", "b"]),  # greedy wrong, 3 of 3
    "t2": ("xxxx", ["x", "x", "x"]),  # greedy wrong and truncated, 0 of 3
    "t3": ("?", ["d", "#", "x"]),  # greedy unscored, 1 of 2 scored, pass@3 not known
}


def run(engine, references=("a", "b", "c", "d"), samples=3, **options):
    return evaluate(
        "before", 0, "sha256:0", tasks(*references), encode, engine, options.pop("grade", grade),
        samples=samples, params=PARAMS, confidence=0.9,
    )  # fmt: skip


def test_summary_by_hand():
    summary = run(Scripted(SCRIPT))["summary"]
    assert summary["n"] == 4 and summary["k"] == 3 and summary["confidence"] == 0.9
    assert summary["greedy_accuracy"] == 1 / 3  # the abstained answer is in no denominator
    assert summary["greedy_interval"] == list(wilson_interval(1, 3, 0.9))
    assert summary["mean_at_k"] == pytest.approx((2 / 3 + 1 + 0 + 1 / 2) / 4)
    low, high = summary["mean_at_k_interval"]
    assert 0 <= low < summary["mean_at_k"] < high <= 1
    assert summary["pass_at_k"] == 2 / 3  # t3 has an unscored sample and is left out
    assert summary["pass_at_k_interval"] == list(wilson_interval(2, 3, 0.9))
    assert summary["unscored"] == 2
    assert summary["greedy_length_mean"] == (1 + 1 + 4 + 1) / 4
    assert summary["truncated_share"] == 0.25


def test_requests_are_keyed_by_task_and_greedy_comes_first():
    engine = Scripted(SCRIPT)
    run(engine)
    (greedy, greedy_params), (sampled, sampled_params) = engine.calls
    assert greedy[1] == ("t1", 1, "say b") and sampled[1] == ("t1", 3, "say b")
    assert greedy_params == SamplingParams(max_tokens=4, temperature=0.0, stop=("!",))
    assert sampled_params == PARAMS


def test_the_document_is_canonical_json_and_repeats_exactly():
    document = run(Scripted(SCRIPT))
    assert canonical_json(document) == canonical_json(run(Scripted(SCRIPT)))
    assert json.loads(canonical_json(document)) == document
    assert document["items"][3]["samples"][1] == {
        "text": "#", "status": "error", "score": None, "finish": "eos", "length": 1,
    }  # fmt: skip
    assert document["items"][0]["prompt"] == "say a" and document["items"][0]["reference"] == "a"
    assert document["settings"] == {
        "max_tokens": 4, "temperature": 0.8, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "stop": ["!"], "samples": 3,
    }  # fmt: skip
    assert (document["label"], document["step"], document["policy_digest"]) == ("before", 0, "sha256:0")


def test_the_prompts_digest_tells_prompts_apart_and_nothing_else():
    digest = run(Scripted(SCRIPT))["prompts_digest"]
    other_answers = {key: ("x", ["x"] * 3) for key in SCRIPT}
    assert run(Scripted(other_answers))["prompts_digest"] == digest
    assert run(Scripted(SCRIPT), references=("a", "b", "c", "e"))["prompts_digest"] != digest


def test_without_samples_the_sampled_shares_are_absent_not_zero():
    engine = Scripted(SCRIPT)
    document = run(engine, samples=0)
    assert len(engine.calls) == 1
    names = ("mean_at_k", "mean_at_k_interval", "pass_at_k", "pass_at_k_interval")
    assert [document["summary"][name] for name in names] == [None] * 4
    assert all(item["samples"] == [] for item in document["items"])


def test_a_grader_that_scores_nothing_gives_no_accuracy():
    summary = run(Scripted({key: ("?", ["#"] * 3) for key in SCRIPT}))["summary"]
    assert summary["greedy_accuracy"] is None and summary["greedy_interval"] is None
    assert summary["mean_at_k"] is None and summary["pass_at_k"] is None
    assert summary["unscored"] == 16


def test_no_prompts_and_duplicate_ids_are_refused():
    with pytest.raises(RequestError, match="at least one"):
        run(Scripted(SCRIPT), references=())
    twins = [*tasks("a"), *tasks("a")]
    with pytest.raises(RequestError, match="t0"):
        evaluate("x", 0, "d", twins, encode, Scripted(SCRIPT), grade, samples=0, params=PARAMS, confidence=0.9)


def test_short_answers_of_engine_or_grader_are_refused():
    with pytest.raises(RunError, match="engine"):
        run(Scripted({**SCRIPT, "t2": ("x", ["x"])}))
    with pytest.raises(RunError, match="Grading"):
        run(Scripted(SCRIPT), grade=lambda owners, completions: grade(owners, completions)[1:])


def test_a_large_scripted_run_finds_the_true_rates():
    # Texts are right with chance 0.3 by a hash of (key, sibling): the summary must find 0.3 and 1 - 0.7^4.
    names = [f"t{i}" for i in range(600)]
    script = {
        key: ("a", ["a" if zlib.crc32(f"{key}/{s}".encode()) % 10 < 3 else "x" for s in range(4)]) for key in names
    }
    summary = run(Scripted(script), references=["a"] * 600, samples=4)["summary"]
    assert summary["greedy_accuracy"] == 1.0
    assert summary["mean_at_k_interval"][0] < 0.3 < summary["mean_at_k_interval"][1]
    assert summary["pass_at_k_interval"][0] < 1 - 0.7**4 < summary["pass_at_k_interval"][1]
    assert summary["mean_at_k_interval"][1] - summary["mean_at_k_interval"][0] < 0.05
