"""Sphinx extension: equations become MathML when the pages are built, so that they show without a script or a network.

`:no-wrap:`, equation numbers and labels are not covered; no page uses them.
"""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _display(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math-display">{_mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def _mathml(latex: str, display: str) -> str:
    """Raises on LaTeX that cannot be converted, which fails the build with the equation named."""
    try:
        text = convert(latex.strip(), display=display)
    except Exception as error:
        raise ValueError(f"An equation cannot be converted: {latex!r} ({error})") from error
    return text.replace("<math ", f'<math aria-label="{html.escape(latex.strip())}" ', 1)
