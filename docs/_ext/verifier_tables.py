"""Sphinx extension: tables of the verifiers, read from the code.

In a page, `<!-- instructions -->` becomes the table of verifiable instructions, `<!-- gym-families -->` how each
family of reasoning-gym is scored, `<!-- audit-probes -->` the probes of an audit by group, `<!-- sandbox-levels -->`
what each strength of the sandbox covers.
"""

from __future__ import annotations

import inspect
from collections import Counter
from typing import TYPE_CHECKING, Any

from sibling.audit.probes import PROBES
from sibling.rewards.gym_answers.table import families
from sibling.rewards.instructions import describe
from sibling.sandbox import levels

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def instructions() -> str:
    """Name, meaning and parameters of each verifiable instruction."""
    rows = [
        f"| `{i['name']}` | {_cell(i['description'])} | "
        f"{', '.join('`' + p['name'] + '`' + ('' if p['required'] else ' (optional)') for p in i['parameters'])} |"
        for i in describe()
    ]
    return "\n".join(["| type | the answer | parameters |", "|---|---|---|", *rows])


def gym_families() -> str:
    """How the answers of each reasoning-gym family are scored, and why."""
    rows = [f"| `{f['family']}` | {f['how']} | {_cell(f['accepts'])} | {_cell(f['reason'])} |" for f in families()]
    return "\n".join(["| family | scorer | accepts | because |", "|---|---|---|---|", *rows])


def audit_probes() -> str:
    """The probes by group, with what must not happen."""
    expected = {"keep": "keeps the right answer", "flip": "spoils the right answer", "low": "deserves nothing"}
    rows = []
    for group in Counter(p.group for p in PROBES):
        for expect, words in expected.items():
            names = [p for p in PROBES if p.group == group and p.expect == expect]
            if names:
                listed = ", ".join(f"`{p.name}`" + ("*" if p.policy else "") for p in names)
                rows.append(f"| {group} | {words} | {listed} |")
    return "\n".join(["| group | each probe | probes |", "|---|---|---|", *rows])


def sandbox_levels() -> str:
    """What the module of levels says of each."""
    return inspect.cleandoc(levels.__doc__ or "").partition("\n\n")[2]


MARKERS = {
    "instructions": instructions,
    "gym-families": gym_families,
    "audit-probes": audit_probes,
    "sandbox-levels": lambda: "```text\n" + sandbox_levels() + "\n```",
}
"""Comment in a page -> what takes its place."""


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    for marker, text in MARKERS.items():
        comment = f"<!-- {marker} -->"
        if comment in source[0]:
            source[0] = source[0].replace(comment, text())


def _cell(text: str) -> str:
    for mark in ("|", "<", "*"):
        text = text.replace(mark, "\\" + mark)
    return text
