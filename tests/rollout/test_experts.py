"""Expert traces: what they become, and every reason to refuse one."""

import numpy as np
import pytest

from sibling.batch import Finish
from sibling.errors import TaskError
from sibling.models import chat
from sibling.models.tiny import build_tokenizer
from sibling.rollout.experts import expert_completion
from sibling.tasks.task import Task

TOKENIZER = build_tokenizer()
EOS = TOKENIZER.eos_token_id


def encode(text):
    return chat.encode(TOKENIZER, text)


def expert(max_tokens=64, column="expert", **columns):
    task = Task("p7", ({"role": "user", "content": "?"},), "42", columns)
    return expert_completion(task, column, encode, EOS, max_tokens)


def test_the_trace_is_a_completion_of_unknown_probability():
    done = expert(expert="é 42")
    assert done.token_ids.tolist() == [*encode("é 42").tolist(), EOS]
    assert done.token_ids.dtype == np.int64
    assert (done.logprobs.dtype, len(done.logprobs)) == (np.float32, len(done.token_ids))
    assert np.isnan(done.logprobs).all()
    assert (done.finish, done.text) == (Finish.expert, "é 42")
    assert TOKENIZER.decode(done.token_ids[:-1]) == done.text


def test_another_column():
    assert expert(column="solution", solution="1", expert="2").text == "1"


def test_the_eos_token_counts_in_the_length():
    assert len(expert(max_tokens=5, expert="abcd").token_ids) == 5
    with pytest.raises(TaskError, match=r"p7 .*Seen: takes 5 tokens.*at most sampling.max_tokens=4"):
        expert(max_tokens=4, expert="abcd")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, r"no column expert; columns: none.*objective.expert_column"),
        ({"solution": "1", "answer": "2"}, "no column expert; columns: answer, solution"),
        ({"expert": None}, "None in the column expert"),
        ({"expert": 42}, "42 in the column expert"),
        ({"expert": ["a"]}, r"\['a'\] in the column expert"),
        ({"expert": " \n"}, "in the column expert.*not blank"),
        ({"expert": "42<|im_end|>"}, r"holds the end-of-sequence token \(id 2\)"),
    ],
)
def test_traces_that_cannot_be_used(columns, reason):
    with pytest.raises(TaskError, match=f"expert's trace of prompt p7.*{reason}"):
        expert(**columns)
