import pytest

from sibling.errors import RequestError, RunError
from sibling.report.paragraph import complain, explain


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")


def test_an_error_is_one_wrapped_paragraph(capsys: pytest.CaptureFixture[str]) -> None:
    error = RequestError("The recipe is not there", seen="/a/rather/long/path/that-is-not-broken.yaml", do="Look")
    assert explain(error) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: The recipe is not there.")
    assert "/a/rather/long/path/that-is-not-broken.yaml" in told
    assert "\n\n" not in told
    assert all(len(line) <= 40 or " " not in line for line in told.splitlines())  # only what cannot be broken is longer


def test_exit_codes_are_those_of_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(RunError("It failed")) == 1
    assert explain(ZeroDivisionError()) == 1
    assert "--debug" in capsys.readouterr().err


def test_control_characters_of_a_message_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    complain("bad\x1b[2J\nline")
    assert capsys.readouterr().err == "error: bad[2J line.\n"
