"""Words by their script, and what is no prose."""

import time

import pytest

from sibling.rewards.scripts import Word, prose, segments


def words(text):
    return [(word.text, word.script) for segment in segments(prose(text)) for word in segment]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't go, Zoë!", [("Don't", "latin"), ("go", "latin"), ("Zoë", "latin")]),
        ("привет Πλάτων שלום", [("привет", "cyrillic"), ("Πλάτων", "greek"), ("שלום", "hebrew")]),
        ("東京へ行く", [("東京", "han"), ("へ", "kana"), ("行", "han"), ("く", "kana")]),
        ("हिंदी ไทย 한국어", [("हिंदी", "devanagari"), ("ไทย", "thai"), ("한국어", "hangul")]),
        ("e\u0301te\u0301", [("e\u0301te\u0301", "latin")]),
        ("x = α + NASA, в", []),  # variables and acronyms
        ("12 v2 snake_case a1b", []),
        ("`code` and ```\nmore code\n``` end", [("and", "latin"), ("end", "latin")]),
        (
            "so $a+big$ or \\(big\\) or \\[big\\] or $$big$$",
            [("so", "latin"), ("or", "latin"), ("or", "latin"), ("or", "latin")],
        ),
        (r"\begin{align} big \end{align} \alpha see", [("see", "latin")]),
        ("<think>yes</think> https://big.example/x me@big.example", [("yes", "latin")]),
        ("costs $5 today, $6 later", [("costs", "latin"), ("today", "latin"), ("later", "latin")]),
        ("", []),
    ],
)
def test_words(text, found):
    assert words(text) == found


def test_segments_end_with_sentences_and_lines():
    assert [[w.text for w in s] for s in segments("One two. Three\nfour！五")] == [
        ["One", "two"],
        ["Three"],
        ["four"],
        ["五"],
    ]


def test_two_characters_are_a_word_where_there_are_no_spaces():
    assert Word("東京都", "han").weight == 2 and Word("Tokyo", "latin").weight == 1


@pytest.mark.parametrize(
    "text",
    [
        "\\[" * 10_000,
        "`" * 20_000,
        "$" * 20_000,
        "<a" * 10_000,
        "a_" * 10_000,
        "a" * 20_000,
        "x@" * 10_000,
        "a-" * 10_000,
    ],
)
def test_time_is_bounded(text):
    start = time.perf_counter()
    list(segments(prose(text)))
    assert time.perf_counter() - start < 5
