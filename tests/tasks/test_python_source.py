"""A user's function as a task source."""

import pytest

from sibling.config import CallableTask
from sibling.errors import RequestError, TaskError
from sibling.tasks.python_source import CallableSource

GOOD = """
def prompts(split, seed):
    start = 0 if split == "train" else 1000
    for n in range(start, start + 12):
        yield {"prompt": f"What is {n} + {seed}?", "reference": n + seed, "id": f"{split}-{n}", "n": n}
"""


def source(folder, text, **options):
    (folder / "mine.py").write_text(text)
    return CallableSource(CallableTask(target="mine.py:prompts", **options), base=folder)


def test_rows_for_a_seed(tmp_path):
    tasks = source(tmp_path, GOOD, system="Be brief.")
    shown = [tasks.train(7, n // 5, n % 5, 5) for n in range(12)]
    assert sorted(t.columns["n"] for t in shown) == list(range(12))
    assert all(t.reference == str(t.columns["n"] + 7) for t in shown)
    assert shown[0].messages[0] == {"role": "system", "content": "Be brief."}
    assert [t.reference for t in tasks.held_out(99)] != []
    assert {int(t.reference) for t in tasks.held_out(99)} == set(range(1000, 1012))  # seed 0, whatever the run's
    assert tasks.location("train-3") == "mine.py:prompts train row 4"
    assert tasks.location("held_out-1000") == "mine.py:prompts held_out row 1"
    assert tasks.location("none") == "prompt none"
    assert tasks.describe()["held_out"] == 12
    assert tasks.digest == source(tmp_path, GOOD, system="Be brief.").digest
    assert tasks.digest != source(tmp_path, GOOD + "\n", system="Be brief.").digest


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("    raise OSError('no disk')", "failed while giving held_out prompts.*OSError: no disk"),
        ("    return None", "failed while giving"),
        ("    return []", "gives no held_out prompts"),
        ("    return ['text']", "row 1: a str, not a dict"),
        ("    return [{'prompt': '', 'reference': '1'}]", "row 1: the prompt is empty"),
        ("    import itertools\n    return itertools.repeat({'prompt': 'a', 'reference': '1'})", "too many prompts"),
    ],
)
def test_functions_that_give_no_prompts(tmp_path, monkeypatch, body, reason):
    monkeypatch.setattr("sibling.tasks.python_source._MOST_ROWS", 1000)
    with pytest.raises(TaskError, match=reason):
        source(tmp_path, f"def prompts(split, seed):\n{body}\n")


def test_the_same_prompts_for_both_splits_are_refused(tmp_path):
    tasks = source(tmp_path, "def prompts(split, seed):\n    return [{'prompt': 'a', 'reference': '1'}]\n")
    with pytest.raises(TaskError, match=r"this held-out prompt is also at mine.py:prompts train row 1"):
        tasks.train(0, 0, 0, 1)


def test_signature_and_name_are_checked(tmp_path):
    with pytest.raises(TaskError, match="cannot be called with a split and a seed"):
        source(tmp_path, "def prompts(split):\n    return []\n")
    with pytest.raises(RequestError, match="does not import"):
        source(tmp_path, "import no_such_module_anywhere\n")
