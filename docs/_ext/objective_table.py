"""Sphinx extension: fill the page of objectives from the table of objectives, so that it cannot fall behind the code.

In a page, `<!-- estimators -->` becomes the table of `sibling.maths.estimators.ESTIMATORS`, `<!-- objective-table -->`
one line for each row of `sibling.maths.objectives.OBJECTIVES`, and `<!-- objective-rows -->` a section for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import sibling.config
import sibling.maths
from sibling.config import ObjectiveConfig
from sibling.learner.explain import WEIGHTS
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.objectives import OBJECTIVES, Objective
from sibling.report.objectives import equation_lines

if TYPE_CHECKING:  # the tests read these tables without Sphinx
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    for marker, text in MARKERS.items():
        comment = f"<!-- {marker} -->"
        if comment in source[0]:
            source[0] = source[0].replace(comment, text())
            for package in (sibling.maths, sibling.config):
                for origin in (Path(__file__), *Path(str(package.__file__)).parent.glob("*.py")):
                    app.env.note_dependency(str(origin.resolve()), docname=docname)


def estimators() -> str:
    """The advantage estimators as a Markdown table."""
    rows = []
    for row in ESTIMATORS.values():
        needs = ", ".join([*row.needs, *(["KL at tokens"] if row.takes_token_kl else [])])
        rows.append(f"| `{row.name}` | {row.title} | {_linked(row.paper)} | {_numbers(row.numbers)} | {needs} |")
    head = "| `advantage.type` | what | source | numbers | needs besides rewards |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def objective_table() -> str:
    """One line an objective: its name and what it is put together from."""
    rows = [
        f"| [`{row.name}`](#{anchor(row)}) | {row.title} | {_advantage(row)} | `{row.aggregation}` | {_kl(row)} |"
        for row in OBJECTIVES.values()
    ]
    head = "| `objective.type` | title | advantage | aggregation | KL, if any |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def objective_rows() -> str:
    """A section an objective: paper, equation, parts, and what it is called elsewhere."""
    return "\n\n".join(_section(row) for row in OBJECTIVES.values())


SECTIONS = {section.model_fields["type"].default: section for section in get_args(get_args(ObjectiveConfig)[0])}
"""Name of a row -> the section of a recipe that chooses it."""

MARKERS = {"estimators": estimators, "objective-table": objective_table, "objective-rows": objective_rows}
"""Comment in a page -> what takes its place."""


def anchor(row: Objective) -> str:
    """The target of a row's section, the same whatever its title becomes."""
    return "objective-" + row.name.replace("_", "-")


def _section(row: Objective) -> str:
    parts = [
        f"({anchor(row)})=\n### {row.title}",
        f"`type: {row.name}`. {_linked(row.paper)}.",
        _code(*equation_lines(row.equation)),
        f"The term of a token, as the recipe's numbers enter it ({_numbers(row.numbers)}):",
        _code(*equation_lines(row.term)),
        f"Advantage {_advantage(row)}; aggregation `{row.aggregation}`, `{WEIGHTS[row.aggregation]}`; KL penalty, "
        f"when `kl.beta` is above 0: {_kl(row)}.",
    ]
    if row.notes:
        parts.append("Elsewhere:\n\n" + "\n".join(f"- {_cell(note)}" for note in row.notes))
    return "\n\n".join(parts)


def _code(*lines: str) -> str:
    return "\n".join(["```text", *lines, "```"])


def _advantage(row: Objective) -> str:
    """The estimator, with what the row sets otherwise than the estimator does."""
    own = f" ({_numbers(row.estimator_numbers)})" if row.estimator_numbers else ""
    return f"`{row.estimator}`{own}"


def _kl(row: Objective) -> str:
    """Where the row puts a KL penalty unless the recipe says otherwise, and as what."""
    if SECTIONS[row.name].model_fields["kl"].default.placement == "reward":
        return "in the reward"
    return f"`{row.kl}` in the loss"


def _numbers(numbers: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}` {_plain(value)}" for name, value in numbers.items()) or "no numbers"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "null" if value is None else str(value)


def _linked(paper: str) -> str:
    """A reference, its arXiv numbers as links."""
    return re.sub(r"(?:arXiv )?(\d{4}\.\d{5})", r"[\1](https://arxiv.org/abs/\1)", _cell(paper))


def _cell(text: str) -> str:
    """`text` as Markdown, inside a table or out: markup characters that are meant as themselves are escaped."""
    for mark in ("|", "<", "*", "_"):
        text = text.replace(mark, "\\" + mark)
    return text
