r"""LaTeX and Markdown around quantities made plain: `$5\,\mathrm{m}/\text{s}^{2}$` becomes `5 m/s^2`.

One pass over the characters; nothing is evaluated. `\frac{a}{b}` becomes `(a)/(b)`; a command that is not known becomes
a space. A dollar sign is dropped where it pairs as a mark of mathematics, and kept where it is money.
"""

from __future__ import annotations

import re

from sibling.rewards.marks import closing_braces

_COMMANDS = {
    "cdot": "·", "times": "×", "circ": "°", "degree": "°", "mu": "µ", "Omega": "Ω", "ohm": "Ω", "pi": "π",
    "percent": "%", "pm": "±", "approx": "≈", "simeq": "≈", "sim": "≈", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥",
    "to": "→", "rightarrow": "→", "Rightarrow": "→", "implies": "→", "lt": "<", "gt": ">", "euro": "€", "div": "÷",
    "ne": "≠", "neq": "≠", "not": "≠", "geqslant": "≥", "leqslant": "≤", "gg": ">", "ll": "<", "gtrsim": "≥",
    "lesssim": "≤", "geqq": "≥", "leqq": "≤", "mid": "|", "vert": "|", "lvert": "|", "rvert": "|", "lor": "or",
    "vee": "or",
    "text": "", "mathrm": "", "textbf": "", "mathbf": "", "textrm": "", "textit": "", "operatorname": "", "rm": "",
    "left": "", "right": "", "boxed": "", "fbox": "", "displaystyle": "", "frac": "", "dfrac": "", "tfrac": "",
}  # fmt: skip
_ESCAPES = {"%": "%", "$": "$", "!": "", "&": "&", "#": "#"}
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\{,\}|[{}`]|\^(?=\\circ|\{\\circ|\{°|°)|\*+|_", re.DOTALL)
_MATHS = re.compile(r"(?<!\\)(\$)(?=\S)[^$\n]{1,200}?(?<=[^\s\\])(\$)(?!\d)")
_FRACTION = re.compile(r"\\[dt]?frac\s?(?=\{)")


def plain_text(text: str) -> tuple[str, list[int]]:
    r"""`text` without dress, and the place in `text` of each character that is left.

    >>> plain_text(r"$5\,\mathrm{m}/\text{s}^{2}$")[0]
    '5 m/s^2'
    """
    instead = _fraction_braces(text)
    for pair in _MATHS.finditer(text):
        instead[pair.start(1)] = instead[pair.start(2)] = ""
    for found in _TOKEN.finditer(text):
        instead.setdefault(found.start(), _plain(text, found))
        instead.update((at, "") for at in range(found.start() + 1, found.end()))
    kept: list[tuple[str, int]] = []
    for at, character in enumerate(text):
        for c in instead.get(at, character):
            if not (c in " \t" and kept and kept[-1][0] in " \t\n"):  # one space is enough
                kept.append((" " if c == "\t" else c, at))
    return "".join(c for c, _ in kept), [at for _, at in kept]


def _fraction_braces(text: str) -> dict[int, str]:
    r"""What stands in place of the braces of `\frac{a}{b}`: (a)/(b)."""
    heads = [found.end() for found in _FRACTION.finditer(text)]
    closing = closing_braces(text) if heads else {}
    instead = {}
    for head in heads:
        middle = closing.get(head)
        if middle is None:
            continue
        second = middle + 1 + (text[middle + 1 : middle + 2] == " ")
        if second in closing:
            instead.update({head: "(", middle: ")/", second: "(", closing[second]: ")"})
    return instead


def _plain(text: str, found: re.Match[str]) -> str:
    token = found.group()
    if token[0] == "\\":
        return _ESCAPES.get(token[1:], " ") if not token[1:].isalpha() else _COMMANDS.get(token[1:], " ")
    if token == "{,}":
        return ","
    if token[0] == "*":  # a product or power between two factors, else emphasis
        before, after = text[: found.start()][-1:], text[found.end() : found.end() + 1]
        spaced = before == after == " "
        joins = (before.isalnum() or before in ")}") and (after.isalnum() or after in "(\\-") and before and after
        return "" if not (joins or spaced) or len(token) > 2 else "^" if len(token) == 2 else "*"
    return ""
