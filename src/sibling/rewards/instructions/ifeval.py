"""Instructions as IFEval's data name them (2311.07911), as the kinds and parameters used here.

`instruction_id_list` holds names such as `keywords:existence`; `kwargs` holds one object for each, in which names
that are null are left out. Two relations occur: "at least" and "less than".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STARS = {"divider": "***"}

# IFEval's name -> (kind, its parameter -> ours, parameters that are fixed)
_NAMES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "keywords:existence": ("keywords_present", {"keywords": "keywords"}, {}),
    "keywords:forbidden_words": ("keywords_absent", {"forbidden_words": "keywords"}, {}),
    "keywords:frequency": (
        "keyword_count",
        {"keyword": "keyword", "frequency": "count", "relation": "relation"},
        {},
    ),
    "keywords:letter_frequency": (
        "letter_count",
        {"letter": "letter", "let_frequency": "count", "let_relation": "relation"},
        {},
    ),
    "language:response_language": ("language", {"language": "language"}, {}),
    "length_constraints:number_sentences": ("sentence_count", {"num_sentences": "count", "relation": "relation"}, {}),
    "length_constraints:number_paragraphs": (
        "paragraph_count",
        {"num_paragraphs": "count"},
        {**_STARS, "relation": "exactly"},
    ),
    "length_constraints:number_words": ("word_count", {"num_words": "count", "relation": "relation"}, {}),
    "length_constraints:nth_paragraph_first_word": (
        "paragraph_first_word",
        {"num_paragraphs": "count", "nth_paragraph": "paragraph", "first_word": "word"},
        {},
    ),
    "detectable_content:number_placeholders": ("placeholder_count", {"num_placeholders": "count"}, {}),
    "detectable_content:postscript": ("postscript", {"postscript_marker": "marker"}, {}),
    "detectable_format:number_bullet_lists": ("bullet_count", {"num_bullets": "count"}, {"relation": "exactly"}),
    "detectable_format:constrained_response": (
        "one_of",
        {},
        {"options": ["My answer is yes.", "My answer is no.", "My answer is maybe."]},
    ),
    "detectable_format:number_highlighted_sections": ("highlight_count", {"num_highlights": "count"}, {}),
    "detectable_format:multiple_sections": (
        "section_count",
        {"section_spliter": "heading", "num_sections": "count"},
        {},
    ),
    "detectable_format:json_format": ("json", {}, {}),
    "detectable_format:title": ("title", {}, {}),
    "combination:two_responses": ("two_responses", {}, {}),
    "combination:repeat_prompt": ("repeat_prompt", {"prompt_to_repeat": "prompt"}, {}),
    "startend:end_checker": ("ends_with", {"end_phrase": "phrase"}, {}),
    "startend:quotation": ("quoted", {}, {}),
    "change_case:capital_word_frequency": (
        "upper_word_count",
        {"capital_frequency": "count", "capital_relation": "relation"},
        {},
    ),
    "change_case:english_capital": ("all_upper", {}, {}),
    "change_case:english_lowercase": ("all_lower", {}, {}),
    "punctuation:no_comma": ("no_commas", {}, {}),
}


def translated(names: object, arguments: object) -> list[dict[str, Any]] | str:
    """The column `instructions` that says the same, or what is wrong, in words.

    The two kinds of case ask for English beside it, as in IFEval.
    """
    if not isinstance(names, list | tuple):
        return "its column `instruction_id_list` is no list"
    given = [{}] * len(names) if arguments is None else arguments
    if not isinstance(given, list | tuple) or len(given) != len(names):
        return "its columns `instruction_id_list` and `kwargs` are not of one length"
    found: list[dict[str, Any]] = []
    for name, values in zip(names, given, strict=True):
        if name not in _NAMES or not (values is None or isinstance(values, Mapping)):
            return f"{str(name)[:60]!r} in `instruction_id_list` is not known"
        kind, parameters, fixed = _NAMES[name]
        stated = {k: v for k, v in (values or {}).items() if v is not None}
        unknown = [k for k in stated if k not in parameters]
        if unknown:
            return f"{name} takes no parameter {unknown[0]!r}"
        found.append({"type": kind, **fixed, **{parameters[k]: v for k, v in stated.items()}})
        if name in ("change_case:english_capital", "change_case:english_lowercase"):
            found.append({"type": "language", "language": "en"})
    return found
