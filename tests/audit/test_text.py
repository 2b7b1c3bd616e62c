import dataclasses

import pytest

from sibling.audit.bench import Example
from sibling.audit.page import to_html
from sibling.audit.report import Violation
from sibling.audit.text import to_markdown, to_text
from sibling.audit.wording import percent, rate_line, visible

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e|`**x**`"


@pytest.fixture
def report(audited):
    return audited("any_box")


@pytest.fixture
def hostile(report):
    example = Example(HOSTILE, "right 1", HOSTILE, HOSTILE)
    bad = Violation("odd", "crash", "accepted", "wrong completions are accepted", 1, 2, examples=(example,))
    return dataclasses.replace(report, name=HOSTILE, violations=(bad,))


def test_the_text_says_what_matters_within_80_columns(report):
    text = to_text(report)
    assert max(map(len, text.splitlines())) <= 80
    for part in ("any_box: fail", "False negatives", "False positives", "Cheapest exploit", "either (hedging)"):
        assert part in text
    assert "or The final answer" not in text
    assert "(text of an exploit, left out)" in text


def test_exploits_are_shown_if_asked_for(report):
    assert "or The" in to_text(report, show_sensitive=True).replace("\n      ", " ")
    assert "or The" not in to_markdown(report) + to_html(report)
    assert "or The final" in to_html(report, show_sensitive=True)


def test_a_long_list_is_cut_and_says_so(report):
    many = dataclasses.replace(report, violations=report.violations * 9)
    assert "more; the JSON" in to_text(many)


def test_a_stopped_audit_shows_the_formats(audited):
    report = audited("own_format")
    for text in (to_text(report), to_markdown(report), to_html(report)):
        assert "stricter than declared" in text
        assert "answer tags" in text


def test_untrusted_texts_do_no_harm(hostile):
    page, markdown, text = to_html(hostile), to_markdown(hostile), to_text(hostile)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    for rendered in (page, markdown, text):
        assert "\x1b" not in rendered and "\u202e" not in rendered
    assert "\\<script\\>" in markdown.splitlines()[0] or "<script>" not in markdown.splitlines()[0]


def test_the_page_loads_nothing_and_is_the_same_twice(report):
    page = to_html(report)
    assert "default-src 'none'" in page
    assert " src=" not in page and "url(" not in page and "http:" not in page and "https:" not in page
    assert page == to_html(report)
    assert page.count("<section>") == page.count("</section>") >= 5
    for part in ("any_box", "shuffled_references", "off_by_one", "Violations ("):
        assert part in page


def test_markdown_has_a_table_and_every_violation(report):
    markdown = to_markdown(report)
    assert "| group | side |" in markdown
    for v in report.violations:
        assert f"- **{v.probe}**" in markdown


def test_visible():
    assert visible("a\nb\tc\x00\u200b") == "a\\nb\\tc\\x00\\u200b"
    assert visible("") == "(nothing)"
    assert visible("\ud800") == "\\ud800"
    cut = visible("x" * 1000, 100)
    assert len(cut) <= 105 and "more" in cut


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.0004, "0.04 %"), (0.0123, "1.2 %"), (0.5, "50 %"), (1.0, "100 %"), (None, "none")],
)
def test_percent(share, text):
    assert percent(share) == text


def test_rates_in_words(audited):
    clean = rate_line(audited("sound").false_positive, "accepted")
    assert clean.startswith("none of") and "3/n" in clean
    assert rate_line(None, "x") == "nothing was tried"
