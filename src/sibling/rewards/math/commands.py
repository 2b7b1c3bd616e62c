"""LaTeX commands by what the tokenizer does with them."""

from __future__ import annotations

TEXT = frozenset(  # what stands in their braces is words
    {r"\bf", r"\emph", r"\hbox", r"\mathop"}
    | {r"\mathrm", r"\mbox", r"\operatorname", r"\rm", r"\text", r"\textbf"}
    | {r"\textit", r"\textnormal", r"\textrm", r"\textsf", r"\texttt", r"\textup", r"\underline"}
)
WITH_ARGUMENT = frozenset({r"\hspace", r"\phantom", r"\color", r"\textcolor"})  # they vanish with their argument
BARE = frozenset(  # they vanish, what stands in their braces stays
    {
        r"\boxed",
        r"\ensuremath",
        r"\fbox",
        r"\hat",
        r"\mathcal",
        r"\mathnormal",
        r"\mathbf",
        r"\boldsymbol",
        r"\bm",
        r"\bold",
        r"\mathit",
        r"\mathsf",
        r"\mathtt",
        r"\overrightarrow",
        r"\tilde",
        r"\vec",
    }
)
GONE = frozenset(  # they vanish
    {r"\Big", r"\Bigg", r"\Bigl", r"\Bigr", r"\Box", r"\Large", r"\Longrightarrow", r"\Rightarrow"}
    | {r"\because", r"\big", r"\bigg", r"\biggl", r"\biggr", r"\bigl", r"\bigr", r"\blacksquare"}
    | {r"\checkmark", r"\displaystyle", r"\enspace", r"\hfill", r"\hline", r"\implies", r"\large", r"\left"}
    | {r"\limits", r"\mathbin", r"\mathclose", r"\mathopen", r"\mathrel", r"\medspace", r"\middle"}
    | {r"\negthinspace", r"\nolimits", r"\nonumber", r"\normalsize", r"\qed", r"\qquad", r"\quad", r"\right"}
    | {r"\scriptstyle", r"\small", r"\space", r"\square", r"\textstyle", r"\therefore", r"\thickspace"}
    | {r"\thinspace"}
)
SAME = {  # other spellings
    r"\nicefrac": r"\frac",
    r"\sfrac": r"\frac",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\cfrac": r"\frac",
    r"\dbinom": r"\binom",
    r"\tbinom": r"\binom",
    r"\leq": r"\le",
    r"\leqslant": r"\le",
    r"\geq": r"\ge",
    r"\geqslant": r"\ge",
    r"\neq": r"\ne",
    r"\lt": "<",
    r"\gt": ">",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\lparen": "(",
    r"\rparen": ")",
    r"\varnothing": r"\emptyset",
    r"\degree": r"\circ",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\vert": "|",
    r"\mid": "|",
    r"\ast": "*",
    r"\times": "*",
    r"\cdot": "*",
    r"\div": "/",
    r"\land": "and",
    r"\wedge": "and",
    r"\lor": "or",
    r"\vee": "or",
    r"\backslash": r"\setminus",
    r"\smallsetminus": r"\setminus",
    r"\ldots": r"\dots",
    r"\cdots": r"\dots",
    r"\colon": ":",
    r"\simeq": r"\approx",
    r"\doteq": r"\approx",
    r"\cong": r"\approx",
    r"\sim": r"\approx",
    r"\lang": r"\langle",
    r"\rang": r"\rangle",
    r"\imath": "i",
    "<=": r"\le",
    ">=": r"\ge",
    "!=": r"\ne",
    "=<": r"\le",
    "==": "=",
    "**": "^",
    "...": r"\dots",
    r"\%": "%",
    r"\$": "$",
    r"\_": "_",
    r"\#": "#",
    r"\&": "and",
    r"\|": "|",
    "∣": "|",
}
