import json

import pytest

from sibling.audit.seeds import accepted
from sibling.audit.triples import read_triples
from sibling.errors import RequestError


def test_rows(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [
        {"prompt": "2 + 2?", "reference": "4"},
        {"question": "Who?", "answer": "me", "id": "q"},
        {
            "messages": [{"role": "user", "content": "hi"}],
            "ground_truth": {"a": 1},
            "completion": "x",
            "want": "refuse",
        },
        {"reference": "1", "completion": "x", "want": "accept", "contested": True},
    ]
    path.write_text("\ufeff" + "\n\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    one, two, three, four = read_triples(path)
    assert (one.id, one.messages[0]["content"], one.reference) == ("1", "2 + 2?", "4")
    assert (two.id, two.reference, two.columns["answer"]) == ("q", "me", "me")
    assert (three.messages, three.reference) == (({"role": "user", "content": "hi"},), '{"a": 1}')
    assert [accepted(t) for t in (one, three, four)] == [None, False, None]


@pytest.mark.parametrize(
    ("body", "word"), [("", "no tasks"), ("{", "line 1"), ("[1]", "a JSON list"), ("\n3", "line 2")]
)
def test_rows_that_are_none(tmp_path, body, word):
    path = tmp_path / "t.jsonl"
    path.write_text(body, encoding="utf-8")
    with pytest.raises(RequestError, match=word):
        read_triples(path)
    with pytest.raises(RequestError, match="cannot be read"):
        read_triples(tmp_path / "absent")
