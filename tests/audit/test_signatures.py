import pytest

from sibling.audit.signatures import assumed_columns, call_many, call_one, manner_of
from sibling.errors import RequestError
from sibling.rewards.grade import stating
from sibling.tasks.task import Task

TASK = Task("1", ({"role": "user", "content": "2 + 2?"},), "4", {"data_source": "sums", "extra_info": {"k": 1}})


def manner(source, name="f"):
    scope = {}
    exec(source, scope)  # noqa: S102 - a function a test writes itself
    return manner_of(scope[name]), scope[name]


@pytest.mark.parametrize(
    ("parameters", "signature", "sure"),
    [
        ("task, completion", "task", True),
        ("prompts, completions, **kwargs", "trl", True),
        ("completions, answer", "trl", True),
        ("**kwargs", "trl", True),
        ("data_source, solution_str, ground_truth, extra_info=None", "verl", True),
        ("completion, reference", "roles", True),
        ("gold, prediction", "roles", True),
        ("prompt, response, answer", "roles", True),
        ("answer, entry", "roles", True),
        ("a, b", "pair", False),
        ("a, b, tolerance=0", "pair", False),
    ],
)
def test_signatures_are_told_by_their_parameters(parameters, signature, sure):
    found, _ = manner(f"def f({parameters}): pass")
    assert (found.signature, found.sure) == (signature, sure)


def test_what_fits_nothing_is_refused_with_the_signature():
    with pytest.raises(RequestError, match=r"f\(a, b, c\)"):
        manner("def f(a, b, c): pass")
    with pytest.raises(RequestError, match="not known"):
        manner_of(len, "odd")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(gold, prediction): return (gold, prediction)", ("4", "said")),
        ("def f(answer, entry): return (answer, entry['answer'], entry['question'])", ("said", "4", "2 + 2?")),
        ("def f(prompt, response, answer): return (prompt, response, answer)", ("2 + 2?", "said", "4")),
        ("def f(data_source, solution_str, ground_truth, extra_info): return (data_source, solution_str, "
         "ground_truth, extra_info)", ("sums", "said", "4", {"k": 1})),
        ("def f(a, b): return (a, b)", ("said", "4")),
        ("def f(completions, reference): return [(completions, reference)]", (["said"], ["4"])),
        ("async def f(completion, reference): return (completion, reference)", ("said", "4")),
        ("def f(task, completion): return (task.id, completion.text)", ("1", "said")),
    ],
)  # fmt: skip
def test_arguments_arrive_where_they_belong(source, expected):
    found, call = manner(source)
    assert call_one(found, call, TASK, stating("said")) == expected


def test_two_unnamed_arguments_can_be_turned():
    found = manner_of(lambda a, b: (a, b), "pair_reversed")
    assert call_one(found, lambda a, b: (a, b), TASK, stating("said")) == ("4", "said")


def test_required_columns_that_the_data_lacks_get_the_reference():
    def f(prompts, completions, gold_text, data_source):
        return list(zip(gold_text, data_source, strict=True))

    assert assumed_columns(f, [TASK], [stating("")]) == ["gold_text"]
    assert call_many(f, [TASK, TASK], [stating("a"), stating("b")]) == [("4", "sums")] * 2
