"""Kinds about the form of an answer: lists, tables, code, headings, placeholders, highlights, sections, JSON."""

from __future__ import annotations

import re
from itertools import pairwise

from sibling.rewards.instructions.answer import Answer, words_of
from sibling.rewards.instructions.kind import Kind, Parameter, Values, count, counted, relation
from sibling.rewards.json_text import NotJsonError, parse

_PLACEHOLDER = re.compile(r"\[([^\[\]\n]{1,100})\](?!\()")  # not the text of a link
_HIGHLIGHT = re.compile(r"(?<!\*)(\*{1,2})(?![\s*])([^*\n]{1,500})(?<!\s)\1(?!\*)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(\S.*)")
_RULE = re.compile(r":?-{1,200}:?")


def _placeholders(answer: Answer, values: Values) -> str:
    number = sum(1 for found in _PLACEHOLDER.finditer(answer.text) if words_of(found[1]))
    return counted(number, values, "placeholders in square brackets")


def _bullets(answer: Answer, values: Values) -> str:
    return counted(len(answer.bullets), values, "bullets")


def _numbered(answer: Answer, values: Values) -> str:
    numbers = [number for number, _ in answer.numbered]
    if len(numbers) == values["count"] and numbers == list(range(1, len(numbers) + 1)) and numbers:
        return ""
    return f"the numbered lines are {numbers[:12]}, wanted 1 to {values['count']}"


def _sorted_bullets(answer: Answer, values: Values) -> str:
    del values
    keys = [" ".join(words_of(bullet)).casefold() for bullet in answer.bullets]
    if len(keys) < 2:
        return f"{len(keys)} bullets, wanted at least 2 to sort"
    late = next((later for one, later in pairwise(keys) if later < one), None)
    return "" if late is None else f"{late[:40]!r} is out of order"


def _highlights(answer: Answer, values: Values) -> str:
    number = sum(1 for found in _HIGHLIGHT.finditer(answer.text) if words_of(found[2]))
    return counted(number, values, "parts marked with asterisks")


def _sections(answer: Answer, values: Values) -> str:
    heading = re.compile(
        rf"[\s#*]{{0,8}}{re.escape(values['heading'])}\s{{1,3}}(\d{{1,3}}|[IVXLC]{{1,6}})\b", re.IGNORECASE
    )
    bodies: list[list[str]] = []
    for line in answer.lines:
        found = heading.match(line)
        if found:
            bodies.append([line[found.end() :]])
        elif bodies:
            bodies[-1].append(line)
    empty = [number for number, body in enumerate(bodies, start=1) if not words_of("\n".join(body))]
    if empty:
        return f"section {empty[0]} is empty"
    return counted(len(bodies), values, f"sections headed {values['heading'][:40]!r}")


def _headings(answer: Answer, values: Values) -> str:
    number = sum(1 for line in answer.lines if (found := _HEADING.match(line)) and words_of(found[1]))
    return counted(number, values, "headings")


def _title(answer: Answer, values: Values) -> str:
    del values
    found = any(words_of(inside) for inside in re.findall(r"<<([^<>\n]{1,200})>>", answer.text))
    return "" if found else "there is no title in double angle brackets"


def _json(answer: Answer, values: Values) -> str:
    del values
    text = answer.text.strip()
    blocks = answer.code_blocks
    if (
        len(blocks) == 1
        and text.startswith(("```", "~~~"))
        and text.endswith(text[:3])
        and blocks[0][0].lower() in ("", "json")
    ):
        text = blocks[0][1]
    try:
        value = parse(text)
    except NotJsonError as failure:
        return failure.reason
    return "" if isinstance(value, dict | list) and value else "it is no object or list with something in it"


def _code_block(answer: Answer, values: Values) -> str:
    wanted = (values["language"] or "").casefold()
    if any(words_of(body) and wanted in ("", tag.casefold()) for tag, body in answer.code_blocks):
        return ""
    return f"there is no code block{f' tagged {wanted}' if wanted else ''} with something in it"


def _table(answer: Answer, values: Values) -> str:
    lines = [_cells(line) for line in answer.text.splitlines()]
    fault = "there is no table with a heading, a rule and a row"
    at = 1
    while at < len(lines):
        begin = at
        at += 1
        if not lines[begin] or not all(_RULE.fullmatch(cell) for cell in lines[begin]):
            continue
        while at < len(lines) and lines[at]:
            at += 1
        fault = _table_fault(lines[begin - 1 : at], values)
        if not fault:
            return ""
    return fault


def _table_fault(lines: list[list[str]], values: Values) -> str:
    """What is wrong with a table: its heading, its rule and its rows."""
    widths = {len(cells) for cells in lines}
    if widths != {values["columns"]}:
        return f"the table has {sorted(widths)[:5]} columns, wanted {values['columns']}"
    rows = sum(any(words_of(cell) for cell in cells) for cells in lines[2:])
    if rows == 0 or (values["rows"] is not None and rows != values["rows"]):
        return f"the table has {rows} rows" + ("" if values["rows"] is None else f", wanted {values['rows']}")
    return ""


def _cells(line: str) -> list[str]:
    """The cells of a line of a table; none if it is none."""
    if "|" not in line:
        return []
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


KINDS = (
    Kind(
        "placeholder_count", "so many placeholders such as [name]", _placeholders, (count("placeholders"), relation())
    ),
    Kind("bullet_count", "so many bullets", _bullets, (count("bullets"), relation("exactly"))),
    Kind("numbered_list", "a list numbered from 1 to that number", _numbered, (count("items"),)),
    Kind("sorted_bullets", "the bullets are in alphabetical order", _sorted_bullets),
    Kind("highlight_count", "so many parts marked as *this* or **this**", _highlights, (count("parts"), relation())),
    Kind(
        "section_count",
        "so many sections that begin with a heading word and a number",
        _sections,
        (count("sections"), Parameter("heading", "text", "the word before the number", "Section"), relation()),
    ),
    Kind("heading_count", "so many Markdown headings", _headings, (count("headings"), relation())),
    Kind("title", "a title in double angle brackets: <<title>>", _title),
    Kind("json", "the whole answer is a JSON object or list with something in it", _json, short=True),
    Kind(
        "code_block",
        "a fenced code block with something in it",
        _code_block,
        (Parameter("language", "text", "the tag after the fence", optional=True),),
        short=True,
    ),
    Kind(
        "table",
        "a Markdown table with so many columns",
        _table,
        (Parameter("columns", "count", "columns"), Parameter("rows", "count", "rows below the heading", optional=True)),
    ),
)
