"""Standard output compared with what is expected: whole outputs, line by line, the number of lines included.

Ignored: spaces and tabs at the end of a line, empty lines at the end, and the kind of line end. Everything else
counts: order, case, spaces within a line, digits of a number, lines that are missing or too many.
"""

from __future__ import annotations


def lines_of(output: str) -> list[str]:
    """The lines that are compared.

    >>> lines_of("1 \\r\\n\\n2\\n\\n")
    ['1', '', '2']
    """
    lines = [line.rstrip(" \t\r") for line in output.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def difference(seen: bytes, expected: str) -> str:
    """How the output differs, in words that do not tell what is expected; empty if it does not."""
    got, want = lines_of(seen.decode("utf-8", "replace")), lines_of(expected)
    if got == want:
        return ""
    if len(got) != len(want):
        return f"{len(got)} lines where another number of lines is expected"
    place = next(i for i, (a, b) in enumerate(zip(got, want, strict=True)) if a != b)
    return f"line {place + 1} differs"
