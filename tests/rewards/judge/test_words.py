"""Folding, fillers and number words."""

import pytest

from sibling.rewards.judge.words import fold, states_number, without_fillers, words_of


def test_fold():
    assert fold("Solución") == fold("SOLUCIO\u0301N") == "solucion"
    assert fold("Ѕоlutіоn") == "solution", "letters that look Latin, in a word with Latin ones"
    assert fold("решение") == "решение" and fold("ﬁn\u200bal") == "final"
    assert fold("がんばって") == "がんばって" and fold("समाधान") == "समाधान"


@pytest.mark.parametrize(
    "text", ["the solution is", "paso a paso", "让我们一步一步地解决这个问题", "풀이", "かいせつ", "समाधान", "ЕТАПЫ"]
)
def test_fillers(text):
    assert without_fillers(words_of(fold(text))) == ([] if text != "ЕТАПЫ" else ["етапы"])


@pytest.mark.parametrize("text", ["yes", "true", "巴黎", "Paris", "no", "ja", "нет", "서울"])
def test_answers_are_no_fillers(text):
    assert without_fillers(words_of(fold(text)))


@pytest.mark.parametrize("text", ["4", "four", "½", "四", "quarante", "zweiundvierzig", "neljä", "√", "2π", "٤"])
def test_numbers(text):
    assert states_number(fold(text))


@pytest.mark.parametrize("text", ["Solution", "let us think", "Λύση του προβλήματος", "思考", "Lösung"])
def test_no_numbers(text):
    assert not states_number(fold(text))
