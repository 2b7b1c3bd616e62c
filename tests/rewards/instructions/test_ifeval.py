"""IFEval's names, each as a kind of ours."""

import pytest

from sibling.rewards.instructions.ifeval import _NAMES, translated
from sibling.rewards.instructions.table import instructions_of

ARGUMENTS = {
    "keywords": ["a"], "forbidden_words": ["a"], "keyword": "a", "frequency": 2, "relation": "less than", "letter": "q",
    "let_frequency": 2, "let_relation": "at least", "language": "kn", "num_sentences": 3, "num_paragraphs": 2,
    "num_words": 9, "nth_paragraph": 1, "first_word": "so", "num_placeholders": 1, "postscript_marker": "P.P.S",
    "num_bullets": 2, "num_highlights": 2, "section_spliter": "Day", "num_sections": 2, "prompt_to_repeat": "Go",
    "end_phrase": "Bye", "capital_frequency": 3, "capital_relation": "less than",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(_NAMES))
def test_each_is_a_kind_with_sound_parameters(name):
    values = {theirs: ARGUMENTS[theirs] for theirs in _NAMES[name][1]} | {"not_used": None}
    found = instructions_of({"instruction_id_list": [name], "kwargs": [values]})
    assert not isinstance(found, str), found


def test_there_are_all_25():
    assert len(_NAMES) == 25


def test_what_is_said_is_kept():
    found = translated(["keywords:frequency"], [{"keyword": "sun", "frequency": 3, "relation": "less than"}])
    assert found == [{"type": "keyword_count", "keyword": "sun", "count": 3, "relation": "less than"}]
    assert translated(["change_case:english_lowercase"], None) == [
        {"type": "all_lower"},
        {"type": "language", "language": "en"},
    ]


@pytest.mark.parametrize(
    ("names", "arguments", "words"),
    [
        ("punctuation:no_comma", None, "no list"),
        (["punctuation:no_comma"], [], "one length"),
        (["punctuation:none"], [{}], "not known"),
        (["punctuation:no_comma"], [{"count": 3}], "takes no parameter"),
    ],
)
def test_what_is_wrong(names, arguments, words):
    found = instructions_of({"instruction_id_list": names, "kwargs": arguments})
    assert isinstance(found, str) and words in found
