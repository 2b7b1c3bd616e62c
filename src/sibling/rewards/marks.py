r"""Where a text says that its answer comes: boxes, `####`, and sentences such as "the answer is ...".

Everything is found in linear time; braces are matched in one pass.
"""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,4}(?=\{)")
_NOUN = r"answer|ans|antwort|réponse|reponse|respuesta|risposta|resposta|ответ"
_NOUN_UNSPACED = r"答案|正解|答え|정답"
_CALLED = r"(?:correct|right|best|final)\s(?:option|choice|letter|value|result|quantity|solution)"
_VERB = r"is|was|are|be|remains|equals|ist|lautet|est|es"
_STATEMENT = re.compile(
    rf"(?:(?<![^\W_])(?:{_NOUN}|{_CALLED})(?![^\W_])(?:[ ,*_`}}]{{1,3}}[\w'’]{{1,20}}){{0,6}}?|{_NOUN_UNSPACED})"
    rf"[ ,*_`}}\n]{{0,4}}(?:(?<![^\W_])(?:{_VERB})(?![^\W_])|[:=]|->|[-–—](?=\s)|→|⇒|是|为|は)"
    r"[*_`\s:]{0,6}"
    r"(?:(?:clearly|therefore|thus|simply|definitely|indeed|obviously|then|hence|most likely|probably|likely)"
    r"(?![^\W_])[,\s*_`:]{0,4})?"
    r"|(?<!#)####(?!#)[ \t]*",
    re.IGNORECASE,
)


def boxes(text: str) -> list[tuple[int, int]]:
    r"""The insides of the outermost `\boxed{...}` and `\fbox{...}` of `text`, as (from, up to).

    >>> text = r"so \boxed{\text{C}}."
    >>> [text[start:end] for start, end in boxes(text)]
    ['\\text{C}']
    """
    heads = [found.end() for found in _BOX.finditer(text)]
    if not heads:
        return []
    closing = closing_braces(text)
    found, after = [], 0
    for head in heads:
        end = closing.get(head)
        if head >= after and end is not None:
            found.append((head + 1, end))
            after = end
    return found


def box_begin(text: str, inside: int) -> int:
    """Where the box begins whose inside begins at `inside`."""
    return text.rindex("\\", 0, inside)


def statements(text: str) -> list[int]:
    """Where an answer begins that the text announces: after "the answer is", "Answer:", `####`."""
    return [found.end() for found in _STATEMENT.finditer(text)]


def closing_braces(text: str) -> dict[int, int]:
    """Place of an opening brace of `text` -> place of the brace that closes it; escaped braces do not count."""
    open_at: list[int] = []
    pairs = {}
    for found in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if found.group() == "{":
            open_at.append(found.start())
        elif found.group() == "}" and open_at:
            pairs[open_at.pop()] = found.start()
    return pairs
