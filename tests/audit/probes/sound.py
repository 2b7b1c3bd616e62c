"""Rewards without a known fault, one a kind of reference: no probe may find anything in them.

They are small because they are strict about the format, which they say, and broad about how a value is written.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from fractions import Fraction
from typing import Any

from sibling.batch import Completion
from sibling.tasks.task import Task

_HIDDEN = re.compile(r"<!--.*?(?:-->|$)", re.DOTALL)
_DENIAL = re.compile(r"\b(?:not|isn't|wrong|except|anything but|or|either|alternatively)\b", re.IGNORECASE)
_CORRECTION = re.compile(r"wait, (?:no|that is not right)", re.IGNORECASE)
_NUMBER = re.compile(
    r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,60})?(?:\.\d{1,60})?(?:(?:e|\*10\^)\{?[+-]?\d{1,2}\}?)?", re.IGNORECASE
)


def number(completion: str, reference: str) -> float:
    """A number in the one box of the answer (several boxes have to agree); the thought does not count."""
    text = completion[:200_000].rpartition("</think>")[2]
    if "<think>" in text or len(completion) > 200_000:
        return 0.0
    text = _HIDDEN.sub("", unicodedata.normalize("NFKC", text))
    text = text[[m.end() for m in _CORRECTION.finditer(text)][-1] :] if _CORRECTION.search(text) else text
    boxes = re.findall(
        r"\\(?:boxed|fbox) ?\{((?:[^{}]|\{[^{}]*\}){0,120})\}", text.replace("\\boxed{\\boxed", "\\boxed")[:100_000]
    )
    values = {_rational(box) for box in boxes}
    outside = re.sub(r"\\(?:boxed|fbox) ?\{[^}]*\}", "", text)
    if len(values) != 1 or _DENIAL.search(outside):
        return 0.0
    return float(values.pop() == _rational(reference) is not None)


def _rational(text: str) -> Fraction | None:
    plain = re.sub(r"^[a-z] ?= ?", "", text.strip(" \n$"))
    for old, new in ((r"\,", ""), ("{,}", ""), ("\u2212", "-"), (r"\times", "*"), (r"\cdot", "*"), (" ", "")):
        plain = plain.replace(old, new)
    if found := re.fullmatch(r"([+-]?)(?:\\[dt]?frac\{(-?\d{1,20})\}\{(\d{1,20})\}|(\d{1,20})/(\d{1,20}))", plain):
        top, bottom = int(found[2] or found[4]), int(found[3] or found[5])
        return (-1 if found[1] == "-" else 1) * Fraction(top, bottom) if bottom else None
    if not _NUMBER.fullmatch(plain) or not re.search(r"\d", plain):
        return None
    mantissa, *power = re.split(r"(?:e|\*10\^)", plain.replace(",", ""), flags=re.IGNORECASE)
    return Fraction(mantissa) * (Fraction(10) ** int(power[0].strip("{}")) if power else 1) if mantissa else None


def letter(completion: str, reference: str) -> float:
    """`The answer is X.`, once, as the last sentence, with nothing else of weight in it."""
    text = _HIDDEN.sub("", completion).rpartition("</think>")[2]
    found = re.findall(
        r"(?:answer is|answer:) *(?:option *)?\(?([A-Z])\)?(?:[).] ?[a-z ]*)?\.?\s*$", text, re.IGNORECASE
    )
    said = re.findall(r"answer (?:is|:)", text, re.IGNORECASE)
    return float(len(said) == 1 and found == [reference] and "<think>" not in text)


def words(completion: str, reference: str) -> float:
    """The same words and nothing else."""
    return float(bool(reference.strip()) and completion.strip().removesuffix(".") == reference.strip())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def document(completion: str, reference: str) -> float:
    """One JSON value in a fence, equal to the reference."""
    found = re.fullmatch(r"\s*```json\n(.{0,100000})\n```\s*", completion, re.DOTALL)
    try:
        value = json.loads(found[1], object_pairs_hook=_once) if found else None
        return float(found is not None and repr(_sorted(value)) == repr(_sorted(json.loads(reference))))
    except (ValueError, RecursionError):
        return 0.0


def _sorted(value: Any) -> Any:
    return sorted((k, _sorted(v)) for k, v in value.items()) if isinstance(value, dict) else value


def query(task: Task, completion: Completion) -> float:
    """The same rows on every database, in memory and read-only."""
    found = re.fullmatch(r"\s*```sql\n(.*)\n```\s*", completion.text, re.DOTALL)
    if found is None or task.reference is None or len(completion.text) > 10_000:
        return 0.0
    return float(
        all(_rows(base, found[1]) == _rows(base, task.reference) is not None for base in task.columns["databases"])
    )


def _rows(script: str, text: str) -> Counter[str] | None:
    base = sqlite3.connect(":memory:")
    try:
        base.executescript(script)
        allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
        base.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY)
        return Counter(map(repr, base.execute(text).fetchall()))
    except (sqlite3.Error, sqlite3.Warning, ValueError):
        return None
    finally:
        base.close()


_CHILD = """
import sys
mark, calls = sys.stdin.readline().strip(), sys.stdin.readline()
space = {}
exec(sys.stdin.read(), space)
for call in eval(calls):
    sys.__stdout__.write(mark + repr(eval(call, space)) + chr(10))
"""


def program(task: Task, completion: Completion) -> float:
    """The calls are made in the program's process, the results compared in this one, as text of plain values."""
    found = re.fullmatch(r"\s*```python\n(.*)\n```\s*", completion.text, re.DOTALL)
    if found is None:
        return 0.0
    mark = secrets.token_hex(8)
    calls = [call for call, _ in task.columns["calls"]]
    try:
        given = f"{mark}\n{calls!r}\n{found[1]}".encode("utf-8", "replace")
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run(
                [sys.executable, "-I", "-c", _CHILD],
                input=given,
                capture_output=True,
                timeout=0.7,
                check=False,
                cwd=folder,
            )
    except subprocess.TimeoutExpired:
        return 0.0
    said = [
        line.removeprefix(mark) for line in ran.stdout.decode("utf-8", "replace").splitlines() if line.startswith(mark)
    ]
    return float(said == [repr(result) for _, result in task.columns["calls"]])
