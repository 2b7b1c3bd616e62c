import pytest

from sibling.canonical import canonical_json
from sibling.errors import RunError
from sibling.monitors.finding import Finding


def test_body_is_that_of_the_event():
    finding = Finding("one_prompt", "warning", None, "One prompt.", "Take more.")
    assert finding.body() == {
        "code": "one_prompt",
        "severity": "warning",
        "step": None,
        "sentence": "One prompt.",
        "advice": "Take more.",
    }
    assert canonical_json(finding.body())


def test_it_is_whole_or_refused():
    with pytest.raises(RunError, match=r"'fatal'.*notice, warning, error"):
        Finding("x", "fatal", 1, "a", "b")
    for parts in (("", "a", "b"), ("x", "", "b"), ("x", "a", "")):
        with pytest.raises(RunError, match="a code, a sentence and advice"):
            Finding(parts[0], "error", 1, parts[1], parts[2])
