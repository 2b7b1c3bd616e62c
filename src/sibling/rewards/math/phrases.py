"""Patterns of what stands around an answer: boxes, marks, denial, correction, and values offered beside it.

Every pattern is linear on the texts it is used on: what repeats is bounded or cannot match in two ways.
"""

from __future__ import annotations

import re

_WORD = (
    r"(?:be|equals?|equal|to|the|simply|exactly|really|actually|just|necessarily|final|correct|right|answer|is|as|"
    r"your|my|a|it|by|given|definitely|certainly|clearly|in|fact|possibly)"
)
_NEGATION = (
    r"(?:\bnot|n['’]t|\bnever|\bcannot|\bneither|\bnor|\brather than|\binstead of|\banything but|\bother than|"
    r"\bwrong(?:ly)?|\bincorrect(?:ly)?|\bexcept|\\neq?|≠|!=)"
)
_PERHAPS = r"(?:maybe\s+|perhaps\s+|possibly\s+|else\s+|it'?s\s+|it\s+is\s+)?"

BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(\{|(?=[-+]?[0-9A-Za-z]))")
UNBRACED = re.compile(r"[-+]?[0-9A-Za-z.]+")
DENIED_BEFORE = re.compile(rf"{_NEGATION}(?:\s+{_WORD}){{0,5}}[\s$*:\\\[(]*$", re.IGNORECASE)
DENIED_AFTER = re.compile(
    r"^[\s$*)\]\\.,]*(?:(?:which|that|this|it)\s+)?(?:(?:is|was|would be|seems|looks|can(?:no|')t be)\s+)?"
    r"(?:definitely |clearly |certainly |actually |obviously |simply )?"
    r"(?:(?<=\bis )not\b(?! only)|(?<=\bwas )not\b|(?<=\bbe )not\b|not\s+(?:the|correct|right|what|it|valid)\b|"
    r"wrong\b|incorrect\b|false\b|mistaken\b|isn['’]t\b|wasn['’]t\b|cannot be\b|can['’]t be\b)",
    re.IGNORECASE,
)
DENIED_WITHIN = re.compile(r"[\s*$]*(?:not\b|never\b|neither\b|n't\b)(?!\s+(?:defined|possible))", re.IGNORECASE)
CORRECTION = re.compile(
    r"\b(?:wait|actually|correction|corrected|mistake|mistaken|error|sorry|oops|instead|scratch that|on second thought|"
    r"let me (?:re|fix|correct|check|double)|re-?check|re-?consider|re-?calculat|re-?do|no,|hmm|"
    r"should (?:be|have been)|that(?:'s| is| was) (?:wrong|incorrect|not right))",
    re.IGNORECASE,
)
MARK = re.compile(
    r"####|\b(?:final\s+)?answers?\b(?:[^\n.:=]{0,40}?\b(?:is|are|was|equals|be)\b|\s*\**\s*[:=])\s*:?"
    r"|\b(?:result|solution)s?\s*(?:\b(?:is|are|equals)\b|[:=])\s*:?",
    re.IGNORECASE,
)
WEAK = re.compile(r"\b(?:is|are|was|equals|equal to|get|gives)\b:?|[:=]", re.IGNORECASE)
RIVAL_BEFORE = re.compile(rf"(?:^|[\s$({{])([^\s.,;:!?$]{{1,60}})[\s$)*}},]{{1,6}}or\s+{_PERHAPS}[$*\s\\(]*$")
RIVAL_AFTER = re.compile(
    rf"^[\s$)*}}\].,\\]{{0,8}}(?:or|alternatively|otherwise)[\s,]+{_PERHAPS}[$*\\(]*([^\s,;!?$]{{1,60}})", re.IGNORECASE
)
BOUND = re.compile(
    r"(?:at least|at most|more than|less than|fewer than|greater than|larger than|smaller than|up to|over|under|"
    r"no more than|no less than|between [^.]{0,30}? and)\s*[$\\(]*$",
    re.IGNORECASE,
)
MATH = re.compile(r"\$\$(.{1,1000}?)\$\$|\$([^$\n]{1,1000}?)\$|\\\((.{1,1000}?)\\\)|\\\[(.{1,1000}?)\\\]", re.DOTALL)
NUMBER = re.compile(
    r"(?<![\w.])[-−–+]?[$€£]?\s?(?:[0-9]{1,3}(?:[,\u2009\u202f\u00a0][0-9]{3})+(?![0-9])|[0-9]+)"
    r"(?:\.[0-9]+)?(?:\s?/\s?[0-9]+)?(?:[eE][+-]?[0-9]+)?\s?%?"
)
CLAUSE = re.compile(
    r"\s*(?:,\s*(?:because|since|as|so|which|where|when|and so|hence)|"
    r"\b(?:because|since|which|where|when|after|in total|in all|altogether))\b",
    re.IGNORECASE,
)
STOP = re.compile(r"(?<!\.)[.!?](?=\s|$)|\n")  # an exclamation mark ends a sentence: 5! in prose is 5
OFFERED = re.compile(r"\b(?:or|not|either|nor|never|maybe|minus|plus|times|divided|over|squared)\b", re.IGNORECASE)
