"""An answer taken apart."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sibling.rewards.instructions.answer import Answer, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't pay 3.5 euros, well-known Ann!", ["Don't", "pay", "3.5", "euros", "well-known", "Ann"]),
        ("1,000 cats", ["1,000", "cats"]),
        ("end.Next e.g. it", ["end", "Next", "e", "g", "it"]),
        ("snake_case **bold** -- yes", ["snake", "case", "bold", "yes"]),
        ("我有 cats", ["我", "有", "cats"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("... {} [] 🙂", []),
    ],
)
def test_words(text, words):
    assert list(words_of(text)) == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Mr. Bean paid 3.50 at J. Smith's, e.g. for tea. Done.",
            ["Mr. Bean paid 3.50 at J. Smith's, e.g. for tea.", "Done."],
        ),
        ('He said "stop." Then (he left.) Yes', ['He said "stop."', "Then (he left.)", "Yes"]),
        ("Wait... what?! No", ["Wait...", "what?!", "No"]),
        ("A heading\n\nText over\ntwo lines.", ["A heading", "Text over\ntwo lines."]),
        ("Items:\n- one\n- two\n1. three", ["Items:", "one", "two", "three"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("file.txt is here", ["file.txt is here"]),
        ("... !!! ?", []),
    ],
)
def test_sentences(text, sentences):
    assert list(Answer(text).sentences) == sentences


def test_parts():
    answer = Answer("# A\n\n* one\n* two\n\n1. three\n2) four\n\n```py\nx\n```\n~~~\nopen")
    assert answer.bullets == ("one", "two") and answer.numbered == ((1, "three"), (2, "four"))
    assert answer.code_blocks == (("py", "x"),)
    assert Answer("a\n***\nb\n\nc").paragraphs("***") == ("a", "b\n\nc")
    assert Answer("a\n\n***\n\nb").paragraphs() == ("a", "b")
    assert Answer("a\n \nb\n").lines == ("a", "b")


@given(st.text(alphabet="aB1 .!?\n-*`\u3002\u732b'", max_size=60))
def test_sentences_hold_every_word_once(text):
    answer = Answer(text)
    assert sum(len(words_of(sentence)) for sentence in answer.sentences) <= len(answer.words)
    assert all(words_of(sentence) for sentence in answer.sentences)


@pytest.mark.parametrize(
    "text", ["." * 199_999 + "x", "```a\n" * 40_000, "a\n" * 100_000, "- a\n" * 50_000, "A. " * 60_000, '("' * 100_000]
)
def test_time_is_linear(text):
    start = time.perf_counter()
    answer = Answer(text)
    assert answer.sentences is not None and answer.code_blocks is not None and answer.bullets is not None
    assert time.perf_counter() - start < 10
