"""Errors as a person reads them: one paragraph, wrapped to the terminal, on standard error."""

from __future__ import annotations

import shutil
import sys
import textwrap

from sibling.errors import SiblingError
from sibling.report.text import clean

_WIDEST = 100  # columns: longer lines are hard to read


def width() -> int:
    """Columns to write in."""
    return min(shutil.get_terminal_size().columns, _WIDEST)


def filled(text: str) -> str:
    """`text` wrapped; words, paths and commands are never broken."""
    return textwrap.fill(text, width(), break_long_words=False, break_on_hyphens=False)


def complain(text: str, prefix: str = "error: ") -> None:
    """Print one paragraph on standard error, whatever line breaks and control characters `text` has."""
    words = " ".join(clean(text).split())
    ended = words if words.endswith((".", "!", "?")) else words + "."
    print(filled(prefix + ended), file=sys.stderr, flush=True)


def explain(error: Exception) -> int:
    """Print an error of a command and return its exit code."""
    if isinstance(error, SiblingError):
        complain(str(error))
        return error.exit_code
    if hasattr(error, "format_message"):  # a usage error of the argument parser, whose classes have no public name
        context = getattr(error, "ctx", None)
        help_ = f" Try `{context.command_path} --help`" if context is not None else ""
        message = str(error.format_message())
        complain(message + ("" if message.endswith((".", "?")) else ".") + help_)
        return 2
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    complain(f"Something unexpected went wrong ({what}). Run the same command with --debug to see where")
    return 1
