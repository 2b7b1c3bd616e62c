"""The end of an answer, made plain, with the way back."""

from hypothesis import given
from hypothesis import strategies as st

from sibling.rewards.window import plain, window


def test_the_last_characters_of_the_part():
    seen = window("<think>1234</think>abcdef", "answer", 4)
    assert seen.text == "cdef" and seen.span(0, 4) == (21, 25)
    assert window("abc", "all", 10).text == "abc" and window("<think>abc", "answer", 10).text == ""


def test_plain_forms():
    assert window("\ufeffＣ\u200b\u00a0５", "all", 10).text == "C 5"
    assert [plain(c) for c in "⁸²½μ．\u3000é℃"] == ["⁸", "²", "½", "μ", ".", " ", "é", "℃"]


def test_spans_of_nothing():
    assert window("", "all", 5).span(0, 0) == (0, 0)
    assert window("<think>", "answer", 5).span(0, 0)[0] in (0, 7)
    assert window("ab", "all", 5).span(2, 2) == (2, 2)


@given(st.text(alphabet="ab\u200bＣ é\ud800", max_size=12))
def test_places_lead_back(text):
    seen = window(text, "all", 50)
    assert all(plain(text[place]) == character for place, character in zip(seen.places, seen.text, strict=True))
    start, end = seen.span(0, len(seen.text))
    assert 0 <= start <= end <= len(text)
