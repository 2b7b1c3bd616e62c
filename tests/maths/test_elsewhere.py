import pytest

from sibling.maths.elsewhere import NOTES
from sibling.maths.objectives import OBJECTIVES


def test_every_row_says_what_it_is_elsewhere():
    assert set(NOTES) == set(OBJECTIVES)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_notes_are_sentences_that_name_a_library(name):
    assert any(library in note for note in NOTES[name] for library in ("TRL", "verl", "OpenRLHF"))
    assert all(note.isascii() and note.endswith(".") and note == note.strip() for note in NOTES[name])
