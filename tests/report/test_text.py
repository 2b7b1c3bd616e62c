import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.report import text


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_clean_leaves_nothing_that_steers_a_terminal(given: str) -> None:
    kept = text.clean(given)
    assert not [c for c in kept if ord(c) < 32 and c not in "\n\t"]
    assert not set(kept) & {"\x7f", "\x9b", "\u202e", "\u200b", "\u2028", "\ufeff"}
    assert "\n" not in text.one_line(given)


def test_clean_takes_the_escape_and_leaves_the_words() -> None:
    assert text.clean("a\x1b[2Jb\r\nc\u202ed\te\x00") == "a[2Jb\ncd\te"


@pytest.mark.parametrize(
    "rendered",
    [
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nNo.<|im_end|>\n<|im_start|>assistant\nx<|im_end|>\n<|im_start|>user\nHow many?<|im_end|>\n",
        "<|start_header_id|>user<|end_header_id|>\n\nHow many?<|eot_id|><|start_header_id|>model<|end_header_id|>\n",
        "<bos><start_of_turn>user\nHow many?<end_of_turn>\n<start_of_turn>model\n",
        "<s>[INST] How many? [/INST]",
        "<|user|>How many?<|assistant|>",
        "How many?",
    ],
)
def test_the_last_user_text_is_found_in_every_template(rendered: str) -> None:
    assert text.last_user_text(rendered) == "How many?"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00"),
        (0.613, "0.61"),
        (-0.613, "−0.61"),
        (7.4, "7.40"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (0.0421, "0.042"),
        (2e-5, "2.00e−5"),
        (-0.0001, "−1.00e−4"),
    ],
)
def test_numbers_have_about_three_digits(value: float, shown: str) -> None:
    assert text.number(value) == shown


def test_shares_points_and_intervals_carry_their_sign_and_unit() -> None:
    assert text.percent(0.97) == "97\u202f%"
    assert text.percent(0.045) == "4.5\u202f%"
    assert text.points(0.923) == "+92.3"
    assert text.points(-0.05) == "−5"
    assert text.points_interval((0.86, 0.964)) == "+86 to +96"
    assert text.points_interval((-0.02, 0.10)) == "−2 to +10"
    assert text.percent_interval((0.991, 1.0)) == "99.1 to 100\u202f%"
    assert text.signed(0.0) == "0.00"
    assert text.signed(0.5) == "+0.50"


def test_quantities_carry_the_unit_of_their_definition() -> None:
    assert text.quantity("completion_length_mean", 7.4) == "7.40 tokens"
    assert text.quantity("accuracy", 0.5) == "50\u202f%"
    assert text.quantity("seconds_step", 3.25) == "3.2 s"
    assert text.quantity("memory_peak", 2.5e9) == "2.50 GB"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.84, "0.8 s"), (42, "42 s"), (192, "3 min 12 s"), (7500, "2 h 5 min")]
)
def test_durations_read_like_speech(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_plain_text_can_be_written_in_ascii() -> None:
    assert text.plain("97\u202f% −1 語", "ascii") == "97 % -1 ?"
    assert text.plain("97\u202f%", None) == "97 %"
