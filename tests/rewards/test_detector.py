"""Which language a text is in."""

import importlib.util

import pytest

from sibling.errors import RequestError
from sibling.rewards.detector import (
    candidates,
    check_installed,
    language_code,
    main_language,
    probabilities,
    scripts_of,
)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("en", "en"),
        ("PT-br", "pt"),
        ("zh_CN", "zh"),
        ("nb", "no"),
        ("nn", "no"),
        ("ms", "id"),
        ("xx", None),
        ("", None),
        (5, None),
    ],
)
def test_codes(name, code):
    assert language_code(name) == code


def test_candidates_are_the_usual_ones_and_the_target():
    assert candidates("hangul", "en") == {"ko"}
    assert "la" in candidates("latin", "la") and "la" not in candidates("latin", "en")
    assert scripts_of("ja") == {"han", "kana"} and scripts_of("sr") == {"cyrillic"}


def test_probabilities_sum_to_one():
    found = probabilities("Le chat dort sur la chaise", candidates("latin", "fr"))
    assert sum(found.values()) == pytest.approx(1) and max(found, key=found.get) == "fr"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where did the cat go yesterday?", "en"),
        ("Wohin ist die Katze gestern gegangen?", "de"),
        ("猫去哪里了？我不知道。", "zh"),
        ("猫はどこへ行きましたか。", "ja"),
        ("고양이는 어제 어디로 갔습니까?", "ko"),
        ("Куда вчера ушла кошка?", "ru"),
        ("Куди вчора пішла кішка? Я не знаю.", "uk"),
        ("أين ذهبت القطة أمس؟", "ar"),
        ("गुरुवार को बिल्ली कहाँ गई थी?", "hi"),
        ("Πού πήγε χθες η γάτα;", "el"),
        ("Yes", None),
        ("2 + 2 = ?", None),
        ("", None),
    ],
)
def test_main_language(text, language):
    assert main_language(text) == language


def test_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"The reward language.*sibling\[verifiers\]"):
        check_installed("The reward language")
