import numpy as np

from sibling.batch import Finish
from sibling.rollout.engine import GroupRequest, SamplingParams
from sibling.rollout.scripted import ScriptedEngine


def say(text, max_tokens):
    engine = ScriptedEngine(lambda key, sibling: f"{text}{sibling}", lambda t: [ord(c) for c in t], eos_id=0)
    requests = [GroupRequest("a", np.arange(3), 2), GroupRequest("b", np.arange(1), 1)]
    return engine.generate(requests, SamplingParams(max_tokens), lambda *_: np.zeros(max_tokens))


def test_says_what_the_script_says_and_ends_with_eos():
    groups = say("hello", 10)
    assert [[c.text for c in g] for g in groups] == [["hello0", "hello1"], ["hello0"]]
    first = groups[0][0]
    assert first.token_ids.tolist() == [ord(c) for c in "hello0"] + [0]
    assert first.finish is Finish.eos and first.logprobs.tolist() == [-1.0] * 7


def test_a_text_too_long_is_cut_text_and_tokens_alike():
    completion = say("hello", 3)[0][0]
    assert completion.finish is Finish.length
    assert completion.text == "hel" and completion.token_ids.tolist() == [ord(c) for c in "hel"]


def test_without_room_for_the_eos_it_is_truncated():
    completion = say("hello", 6)[0][1]
    assert completion.finish is Finish.length and completion.text == "hello1"


def test_a_group_is_told_before_the_next_is_said():
    order = []

    def script(key, sibling):
        order.append(f"{key}{sibling}")
        return "x"

    engine = ScriptedEngine(script, lambda t: [ord(c) for c in t], eos_id=0)
    requests = [GroupRequest("a", np.arange(3), 2), GroupRequest("b", np.arange(1), 1)]
    told = {}

    def finished(index, completions):
        order.append(index)
        told[index] = completions

    groups = engine.generate(requests, SamplingParams(4), lambda *_: np.zeros(4), finished=finished)
    assert order == ["a0", "a1", 0, "b0", 1]
    assert all(c is t for i, group in enumerate(groups) for c, t in zip(group, told[i], strict=True))
