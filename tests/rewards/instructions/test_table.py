"""Every kind: an answer that follows it, answers that do not, and parameters that cannot be."""

import pytest

from sibling.rewards.instructions.answer import Answer
from sibling.rewards.instructions.kind import compares
from sibling.rewards.instructions.table import TABLE, describe, instructions_of

P = "Write about two cats"
SAMPLES = {
    # kind: (parameters, answers that follow, answers that do not)
    "keywords_present": (
        {"keywords": ["cat", "warm milk"]},
        ["A Cat likes warm\nmilk."],
        ["Cats like warm milk", "a cat, milk"],
    ),
    "keywords_absent": ({"keywords": ["cat", "no way"]}, ["concatenate it, no other way"], ["The CAT sat", "no  way"]),
    "keyword_count": (
        {"keyword": "cat", "count": 2, "relation": "exactly"},
        ["cat, Cat"],
        ["cat", "cat cat cat", "cats"],
    ),
    "letter_count": ({"letter": "e", "count": 3, "relation": "less than"}, ["Seven"], ["Eee", "see me"]),
    "no_letter": ({"letter": "E"}, ["A dog is fun"], ["the dog"]),
    "language": (
        {"language": "fr"},
        ["Le chat dort sur la chaise depuis ce matin."],
        ["The cat sleeps on the chair all day long.", "12 34", "Le chat dort. The dog sleeps on the old chair today."],
    ),
    "all_upper": ({}, ["A CAT IS 1 ANIMAL!"], ["A Cat", "1 2 3", "猫"]),
    "all_lower": ({}, ["a cat is 1 animal!"], ["a Cat", "1 2 3"]),
    "upper_word_count": ({"count": 2}, ["NASA and ESA fly", "ONE TWO THREE"], ["I saw NASA", "Nasa Esa"]),
    "no_commas": ({}, ["no comma here"], ["one, two", "一，二", "一、二"]),
    "no_digits": ({}, ["three cats"], ["3 cats", "x²", "٣"]),
    "has_number": ({}, ["I have 3 cats", "3.5 of them"], ["three cats", "x3"]),
    "palindrome": ({"letters": 5}, ["A Level field"], ["wow", "aaaaa", "12321", "cats"]),
    "distinct_words": ({"letters": 4}, ["the cats saw the dogs"], ["cats see Cats", "the the"]),
    "word_count": ({"count": 3, "relation": "at most"}, ["one two three", "well-known 3.5 it's"], ["a b c d"]),
    "word_range": ({"least": 2, "most": 3}, ["a b", "a b c"], ["a", "a b c d"]),
    "sentence_count": (
        {"count": 2, "relation": "exactly"},
        ["One. Two!", "Dr. No came at 3.5 p.m. today. It rained.", "- one item\n- two", "猫だ。犬だ。"],
        ["One.", "One. Two. Three.", "One\n\nTwo\n\nThree", "..."],
    ),
    "paragraph_count": ({"count": 2}, ["one\n\ntwo", "one\n \n\n\ntwo\n"], ["one\ntwo", "one\n\n***\n\ntwo\n\nthree"]),
    "line_count": ({"count": 2}, ["a\n\nb\n"], ["a", "a\nb\nc"]),
    "sentence_words": ({"most": 3}, ["One two. Three four five."], ["One two three four."]),
    "line_words": ({"most": 2}, ["one two\nthree"], ["one two three"]),
    "paragraph_first_word": (
        {"paragraph": 2, "word": "Then", "count": 2},
        ["One.\n\nthen two."],
        ["One.\n\nBut then.", "One.", "One.\n\nThen.\n\nThree."],
    ),
    "distinct_sentences": ({}, ["A cat. A dog."], ["A cat. A dog. a CAT!"]),
    "distinct_openings": ({}, ["A cat. The dog."], ["The cat. The dog."]),
    "placeholder_count": ({"count": 2}, ["Dear [name], come to [place]."], ["[name]", "[a](b) [c](d)", "[] []"]),
    "bullet_count": ({"count": 2}, ["* a\n* b", "x\n- a\n  - b"], ["* a", "- a\n- b\n- c", "**a**\n**b**", "- \n- "]),
    "numbered_list": (
        {"count": 2},
        ["1. a\n2. b", "1) a\ntext\n2) b"],
        ["1. a", "1. a\n3. b", "2. a\n1. b", "1. a\n1. b"],
    ),
    "sorted_bullets": ({}, ["- Apple\n- banana\n- Cherry"], ["- b\n- a", "- a", "a\nb"]),
    "highlight_count": (
        {"count": 2},
        ["*one* and **two words**"],
        ["*one*", "* one\n* two", "** **  ** **", "2 * 3 * 4 * 5"],
    ),
    "section_count": (
        {"count": 2, "relation": "exactly"},
        ["Section 1\nText.\n## SECTION 2: more\nText."],
        ["Section 1\nText.", "Section 1\nSection 2\n", "Section 1\na\nSection 2\nb\nSection 3\nc"],
    ),
    "heading_count": ({"count": 1}, ["# Title\ntext"], ["#tag", "text", "#   "]),
    "title": ({}, ["<<A poem>>\ntext"], ["<A poem>", "<<>>", "<<...>>", "A poem"]),
    "json": (
        {},
        ['{"a": 1}', "```json\n[1]\n```"],
        ["{}", "[]", "1", '{"a": 1} and', '```\n{"a": 1}\n```\n```\n[1]\n```'],
    ),
    "code_block": (
        {"language": "python"},
        ["See\n```python\nx = 1\n```\n"],
        ["```\nx\n```", "```python\n```", "```python\nx"],
    ),
    "table": (
        {"columns": 2, "rows": 1},
        ["| a | b |\n|---|:-:|\n| 1 | 2 |", "text\n\na | b\n--- | ---\n1 | 2\n"],
        [
            "| a | b |\n|---|---|",
            "|a|b|c|\n|-|-|-|\n|1|2|3|",
            "|a|b|\n|-|-|\n|1|",
            "a b\n1 2",
            "|a|b|\n|-|-|\n|1|2|\n|3|4|",
        ],
    ),
    "one_of": (
        {"options": ["Yes.", "Not today"]},
        ["yes", "**Not  today!**"],
        ["yes and no", "Yes. Not today", "maybe", "Not"],
    ),
    "starts_with": ({"phrase": "My dear"}, ["my  dear friend"], ["Oh, my dear"]),
    "ends_with": (
        {"phrase": "Is that all?"},
        ['Well. "Is that all?"', "is that\nall?"],
        ["Is that all? Yes.", "Is that all"],
    ),
    "quoted": ({}, ['"A cat."', "“A cat.”"], ["A cat", '"A" cat', '""', "'A cat'", '"...."']),
    "postscript": (
        {},
        ["Dear cat.\nP.S. I love you", "Dear cat.\n\n**p. s.** me too"],
        ["Dear cat.", "Dear cat.\nP.S.", "P.S. I love you", "Dear cat.\nPSI is a unit"],
    ),
    "two_responses": (
        {},
        ["One cat.\n******\nTwo cats."],
        ["One cat.", "a\n******\nb\n******\nc", "A cat.\n******\na  cat", "******\nb"],
    ),
    "repeat_prompt": (
        {},
        ["Write about  two cats. There were two."],
        ["Two cats.", "Write about two cats", "I write about two cats ."],
    ),
    "acrostic": (
        {"word": "cat"},
        ["Come here\nand\n\nTake it"],
        ["Come\ntake\nand", "Come\nand", "Come\nand\ntake\nit"],
    ),
    "question_end": ({}, ["A cat?", '"A cat?"', "猫？"], ["A cat.", "A cat? Yes"]),
}


def checked(name, values, text):
    (found,) = instructions_of({"instructions": [{"type": name, **values}]})
    kind, filled = found
    return kind.check(Answer(text, P), filled)


def test_every_kind_has_samples():
    assert set(SAMPLES) == set(TABLE)
    assert len(TABLE) >= 35


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, good, _) in SAMPLES.items() for text in good])
def test_followed(name, text):
    assert not checked(name, SAMPLES[name][0], text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, _, bad) in SAMPLES.items() for text in bad])
def test_not_followed(name, text):
    assert checked(name, SAMPLES[name][0], text)


@pytest.mark.parametrize(
    ("relation", "holds"),
    [
        ("at least", (False, True, True)),
        ("at most", (True, True, False)),
        ("exactly", (False, True, False)),
        ("more than", (False, False, True)),
        ("less than", (True, False, False)),
    ],
)
def test_relations(relation, holds):
    assert tuple(compares(number, relation, 3) for number in (2, 3, 4)) == holds


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "no column"),
        ({"instructions": []}, "something in it"),
        ({"instructions": "no_commas"}, "a list"),
        ({"instructions": ["no_commas"]}, "instruction 1 is no object"),
        (
            {"instructions": [{"type": "no_commas"}, {"type": "bulet_count"}]},
            "instruction 2 has the unknown type 'bulet_count'",
        ),
        ({"instructions": [{"type": "bulet_count"}]}, "bullet_count"),
        ({"instructions": [{"type": "no_commas", "count": 1}]}, "takes no parameter 'count'; it takes none"),
        ({"instructions": [{"type": "bullet_count"}]}, "needs the parameter 'count'"),
        ({"instructions": [{"type": "bullet_count", "count": -1}]}, "a whole number"),
        ({"instructions": [{"type": "bullet_count", "count": True}]}, "a whole number"),
        ({"instructions": [{"type": "bullet_count", "count": "3"}]}, "a whole number"),
        ({"instructions": [{"type": "bullet_count", "count": 3, "relation": "around"}]}, "at least, at most"),
        ({"instructions": [{"type": "keywords_present", "keywords": []}]}, "a list of 1"),
        ({"instructions": [{"type": "keywords_present", "keywords": ["a", " "]}]}, "a list of 1"),
        ({"instructions": [{"type": "letter_count", "letter": "ab", "count": 1}]}, "one character"),
        ({"instructions": [{"type": "language", "language": "klingon"}]}, "a language code"),
        ({"instructions": [{"type": "acrostic", "word": "two words"}]}, "one word"),
        ({"instructions": [{"type": "ends_with", "phrase": ""}]}, "a text"),
    ],
)
def test_what_is_wrong_with_a_list(columns, words):
    found = instructions_of(columns)
    assert isinstance(found, str) and words in found


def test_description_is_of_every_kind():
    described = describe()
    assert [one["name"] for one in described] == list(TABLE)
    assert all(one["description"] and all(p["description"] for p in one["parameters"]) for one in described)
    (bullets,) = [one for one in described if one["name"] == "bullet_count"]
    assert [(p["name"], p["required"], p["default"]) for p in bullets["parameters"]] == [
        ("count", True, None),
        ("relation", False, "exactly"),
    ]
