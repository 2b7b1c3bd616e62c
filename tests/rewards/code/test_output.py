from sibling.rewards.code.output import difference, lines_of


def test_white_space_at_the_ends_does_not_count() -> None:
    assert difference(b"1 \r\n2\t\n\n\n", "1\n2") == ""
    assert lines_of("\n a\n") == ["", " a"]


def test_everything_else_counts() -> None:
    for seen in (b"", b"1", b"1\n2\n3", b"1 2", b"2\n1", b" 1\n2", b"1\n\n2", b"1\n2.0", b"1\n2 x", b"\xff\n2"):
        assert difference(seen, "1\n2") != ""


def test_the_words_do_not_tell_what_is_expected() -> None:
    assert "secret" not in difference(b"1", "secret") and "secret" not in difference(b"", "secret\nx")
