"""Unicode mathematics as LaTeX: signs, superscripts, vulgar fractions and the invisible characters."""

from __future__ import annotations

import re
import unicodedata

_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
_SIGNS = {
    "-": "−‐‑‒–—﹣-",
    "/": "÷∕⁄/",
    " \\times ": "×✕",
    " \\cdot ": "·⋅∙",
    "\\sqrt ": "√",
    "\\infty ": "∞",
    "\\pi ": "π𝜋",
    "\\theta ": "θ",
    "\\alpha ": "α",
    "\\beta ": "β",
    "\\gamma ": "γ",
    "\\lambda ": "λ",
    "\\phi ": "φϕ",
    "\\omega ": "ω",
    "\\le ": "≤⩽",
    "\\ge ": "≥⩾",
    "\\ne ": "≠",
    "\\approx ": "≈",
    "\\pm ": "±",
    "\\mp ": "∓",
    "\\cup ": "∪",
    "\\cap ": "∩",
    "\\in ": "∈",
    "\\emptyset ": "∅⌀",
    "\\setminus ": "∖",
    "\\mathbb{R} ": "ℝ",
    "\\mathbb{Z} ": "ℤ",
    "\\int ": "∫",
    "\\sum ": "∑",
    "\\prod ": "∏",
    "\\partial ": "∂",
    "^\\circ ": "°º",
    "\\,": "\u2009\u202f\u00a0\u2006\u2005",
    "\\langle ": "⟨〈",
    "\\rangle ": "⟩〉",
    "\\dots ": "…",
    "'": "’′",
    "": "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u2061\u2062",
}
_TABLE = {ord(c): written for written, characters in _SIGNS.items() for c in characters}
_FRACTION = re.compile("[¼-¾⅐-⅞]")
_RUN = re.compile("[{}]+".format("".join(_SUPER)))
_SUB_RUN = re.compile("[{}]+".format("".join(_SUB)))


def plain(text: str) -> str:
    """`text` with unicode mathematics written as LaTeX, and other compatibility forms (full width digits) as ASCII.

    >>> plain("−2½ × x²")
    '-2\\\\frac{1}{2}  \\\\times  x^{2}'
    """
    if text.isascii():
        return text
    text = _RUN.sub(lambda m: "^\\circ " if m[0] == "º" else "^{" + "".join(_SUPER[c] for c in m[0]) + "}", text)
    text = _SUB_RUN.sub(lambda m: "_{" + "".join(_SUB[c] for c in m[0]) + "}", text)
    text = _FRACTION.sub(_vulgar, text).translate(_TABLE)
    text = unicodedata.normalize("NFKC", text) if not text.isascii() else text
    return text.translate(_TABLE)


def _vulgar(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f"\\frac{{{top}}}{{{bottom}}}"
