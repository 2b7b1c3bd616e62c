"""A folder to try the command line in, and what every refusal must look like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support import Ended, Runner


@dataclass
class Bench:
    """A folder with a recipe and things that are wrong, and the command line to try them with."""

    runner: Runner
    folder: Path

    def train(self, *overrides: str) -> Ended:
        """`sibling train` in the folder."""
        return self.runner.run("train", "tiny.yaml", "run_dir=run", "steps=2", *overrides, cwd=self.folder)

    def refused(self, ended: Ended, code: int, *phrases: str) -> None:
        """One readable paragraph that says all of this, and the exit code."""
        assert ended.code == code, ended
        assert_readable(ended.err)
        text = " ".join(ended.err.split())
        assert [p for p in phrases if p not in text] == [], text


def assert_readable(text: str) -> None:
    """One paragraph of whole sentences, no traceback, 80 columns (a longer word cannot be broken)."""
    assert text.startswith("error: ") and text.endswith((".\n", "?\n", "`\n"))
    assert "Traceback" not in text and "\n\n" not in text
    assert [line for line in text.splitlines() if len(line) > 80 and " " in line] == []


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes; folders too. Python's caches apart."""
    found = {p.relative_to(folder).as_posix(): b"" if p.is_dir() else p.read_bytes() for p in folder.rglob("*")}
    return {name: data for name, data in found.items() if "__pycache__" not in name}
