"""Order of finite sources, and rows turned into tasks."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.tasks.finite import (
    Columns,
    Record,
    by_digest,
    check_disjoint,
    json_value,
    noted,
    prompt_digest,
    read_table,
    row_at,
    split_by_digest,
)

law = settings(deadline=None, max_examples=50)


def records(*rows):
    return [Record(f"line {n}", row) for n, row in enumerate(rows, start=1)]


def numbered(count):
    return records(*({"prompt": f"question {n}", "reference": n} for n in range(count)))


@law
@given(st.integers(1, 40), st.integers(0, 2**32), st.integers(1, 9))
def test_every_epoch_shows_every_row_once(size, seed, per_step):
    positions = 3 * size
    rows = [row_at(size, seed, n // per_step, n % per_step, per_step) for n in range(positions)]
    for epoch in range(3):
        assert sorted(rows[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_epochs_and_seeds_have_orders_of_their_own():
    first = [row_at(30, 0, 0, i, 30) for i in range(30)]
    assert first == [row_at(30, 0, 0, i, 30) for i in range(30)]
    assert first != [row_at(30, 0, 1, i, 30) for i in range(30)]
    assert first != [row_at(30, 1, 0, i, 30) for i in range(30)]


@law
@given(st.integers(2, 40), st.integers(0, 99), st.integers(0, 20), st.integers(1, 12))
def test_refills_are_not_in_the_step_yet_while_others_exist(size, seed, step, per_step):
    own = {row_at(size, seed, step, i, per_step) for i in range(per_step)}
    refills = [row_at(size, seed, step, per_step + i, per_step) for i in range(size)]
    if len(own) < size:
        assert set(refills) == set(range(size)) - own
        assert len(set(refills[: size - len(own)])) == size - len(own)  # none twice before all had their turn
    else:
        assert set(refills) == set(range(size))


def test_rows_become_tasks_with_their_columns():
    table = read_table(records({"q": "2 + 2?", "a": 4, "level": "easy"}, {"q": "3 + 3?", "a": None}), Columns("q", "a"))
    first, second = table.tasks
    assert first.messages == ({"role": "user", "content": "2 + 2?"},)
    assert first.reference == "4"
    assert first.id == first.digest.removeprefix("sha256:")[:16]
    assert first.columns == {"prompt": "2 + 2?", "a": 4, "level": "easy"}
    assert second.reference is None
    assert second.columns["level"] is None  # a column the row lacks is there, empty
    assert table.places[second.id] == "line 2"
    assert table.fatal == table.notes == []


def test_chat_messages_and_system():
    chat = [
        {"role": "user", "content": "Hi", "name": None},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "2 + 2?"},
    ]
    table = read_table(records({"prompt": chat, "reference": "4"}), Columns(system="Be brief."))
    assert [m["role"] for m in table.tasks[0].messages] == ["system", "user", "assistant", "user"]
    assert table.tasks[0].columns["prompt"][2]["content"] == "2 + 2?"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"reference": "1"}, "no column 'prompt'"),
        ({"prompt": "x"}, "no column 'reference'"),
        ({"prompt": "  \n", "reference": "1"}, "the prompt is empty"),
        ({"prompt": [], "reference": "1"}, "the prompt is empty"),
        ({"prompt": None, "reference": "1"}, "is null, not text"),
        ({"prompt": 7, "reference": "1"}, "is a int, not text"),
        ({"prompt": ["x"], "reference": "1"}, "a message is a str"),
        ({"prompt": [{"role": "user"}], "reference": "1"}, "it has ['role']"),
        ({"prompt": [{"role": "user", "content": "x", "tool": "y"}], "reference": "1"}, "nothing else"),
        ({"prompt": [{"role": "wizard", "content": "x"}], "reference": "1"}, "the role 'wizard'"),
        ({"prompt": [{"role": "assistant", "content": "x"}], "reference": "1"}, "nothing to answer"),
        ({"prompt": [{"role": "system", "content": "x"}], "reference": "1"}, "the prompt is empty"),
        ({"prompt": "\ud800", "reference": "1"}, "surrogate"),
        ({"prompt": "x", "reference": "\ud800"}, "surrogate"),
    ],
)
def test_bad_rows_are_named(row, reason):
    table = read_table(records({"prompt": "good", "reference": "1"}, row), Columns())
    assert len(table.tasks) == 1
    assert len(table.fatal) == 1
    assert table.fatal[0].startswith("line 2: ") and reason in table.fatal[0]


def test_two_system_messages_are_refused():
    chat = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    table = read_table(records({"prompt": chat, "reference": "1"}), Columns(system="c"))
    assert "task.system" in table.fatal[0]


def test_ids_are_unique():
    rows = records(*({"prompt": p, "reference": "1", "name": n} for p, n in [("a", 7), ("b", "7"), ("c", " ")]))
    table = read_table(rows, Columns(id="name"))
    assert [t.id for t in table.tasks] == ["7"]
    assert table.fatal == ["line 2: the id '7' is already used by line 1", "line 3: the id in column 'name' is empty"]


def test_repeated_content_is_noted_and_kept_in_train_but_used_once_in_held_out():
    rows = records(*[{"prompt": "a", "reference": "1"}] * 3, {"prompt": "a", "reference": "2"})
    train, held_out = read_table(rows, Columns()), read_table(rows, Columns(), distinct=True)
    base = train.tasks[0].id
    assert [t.id for t in train.tasks[:3]] == [base, f"{base}-2", f"{base}-3"]
    assert train.notes == ["line 2 repeats line 1", "line 3 repeats line 1"]
    assert len(held_out.tasks) == 2
    assert held_out.notes == ["line 2 repeats line 1; used once", "line 3 repeats line 1; used once"]


def test_a_hidden_prompt_column_is_noted():
    table = read_table(records({"question": "a", "prompt": "b", "reference": "1"}), Columns("question"))
    assert "hidden" in table.notes[0]
    assert table.tasks[0].columns["prompt"] == "a"


@law
@given(st.integers(2, 60), st.floats(0.01, 0.99))
def test_split_is_disjoint_complete_and_stable(count, share):
    table = read_table(numbered(count), Columns())
    train, held_out = split_by_digest(table, share)
    assert {prompt_digest(t) for t in train.tasks}.isdisjoint(prompt_digest(t) for t in held_out.tasks)
    assert Counter(t.id for t in train.tasks + held_out.tasks) == Counter(t.id for t in table.tasks)
    assert held_out.tasks
    more, _ = split_by_digest(read_table(numbered(count + 5), Columns()), share)
    if len(held_out.tasks) > 1:  # one may be the stand-in of a split that came out empty
        assert {t.id for t in train.tasks} <= {t.id for t in more.tasks}


def test_split_takes_about_its_share_and_keeps_the_same_question_together():
    rows = records(*({"prompt": f"question {n % 500}", "reference": n} for n in range(1000)))
    train, held_out = split_by_digest(read_table(rows, Columns()), 0.2)
    assert 150 < len(held_out.tasks) < 250  # 200 expected, standard deviation 18
    assert not {t.messages[0]["content"] for t in train.tasks} & {t.messages[0]["content"] for t in held_out.tasks}


def test_the_same_question_or_id_in_both_files_is_fatal():
    train = read_table(records({"prompt": "a", "reference": "1", "id": "x"}), Columns(id="id"))
    other = read_table(
        records({"prompt": "a", "reference": "2", "id": "y"}, {"prompt": "b", "reference": "1", "id": "x"}),
        Columns(id="id"),
    )
    check_disjoint(train, other)
    assert other.fatal == [
        "line 1: this held-out prompt is also at line 1",
        "line 2: the id 'x' is already used by line 1",
    ]


def test_held_out_order_is_not_the_order_of_the_file():
    tasks = read_table(numbered(30), Columns()).tasks
    assert by_digest(tasks) == by_digest(tasks[::-1]) != tasks


def test_other_values_become_text_and_notes_are_cut():
    assert json_value({1: (b"x", {2.5}, None, True)}) == {"1": ["b'x'", "{2.5}", None, True]}
    assert noted([str(n) for n in range(25)])[-1] == "and 5 more"
    assert noted(["a"]) == ["a"]
