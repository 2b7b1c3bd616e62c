"""Which language a text is in: its script first, then py3langid where languages share a script.

The detector is loaded once, when it is first asked (about a second), and is the same for the same text ever after.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from typing import Any

from sibling.errors import RequestError
from sibling.rewards.scripts import Word, prose, segments

_USUAL = {
    "latin": "en de fr es it pt nl sv da no fi is et lv lt pl cs sk sl hr hu ro sq tr az vi id tl sw ca eu ga cy",
    "cyrillic": "ru uk be bg sr mk kk mn",
    "arabic": "ar fa ur ps",
    "devanagari": "hi mr ne",
    "bengali": "bn as",
    "hebrew": "he",
    "greek": "el",
    "armenian": "hy",
    "gurmukhi": "pa",
    "gujarati": "gu",
    "oriya": "or",
    "tamil": "ta",
    "telugu": "te",
    "kannada": "kn",
    "malayalam": "ml",
    "sinhala": "si",
    "thai": "th",
    "lao": "lo",
    "myanmar": "my",
    "georgian": "ka",
    "ethiopic": "am",
    "khmer": "km",
    "hangul": "ko",
    "kana": "ja",
    "han": "zh ja",
}
_RARE = {  # never guessed, but they may be asked for
    "latin": "af gl eo la mt lb oc br fy ht ha ig yo zu xh so uz ku mg qu rw sn st jv ln om gd",
    "cyrillic": "ky tt ba",
    "arabic": "ug",
}
_ALIASES = {
    "nb": "no", "nn": "no", "bs": "hr", "sh": "hr", "ms": "id", "fil": "tl", "yue": "zh", "wuu": "zh", "iw": "he",
}  # fmt: skip
_WIDE = frozenset({"en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "vi", "id", "ru", "uk", "ar", "fa", "hi"})
_PRIOR = 4.0
_MOST_MAIN = 2_000

_lock = threading.Lock()


def installed() -> bool:
    """Whether py3langid is there."""
    return importlib.util.find_spec("py3langid") is not None


def check_installed(what: str) -> None:
    """Raises `RequestError` if py3langid is not installed; `what` needs it."""
    if not installed():
        raise RequestError(
            f"{what} needs py3langid, which is not installed",
            do="Run `pip install 'sibling[verifiers]'` and try again",
        )


def package_versions(*names: str) -> str:
    """Name and version of each package that is installed, for the record."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in names if importlib.util.find_spec(name) is not None)


def language_code(name: object) -> str | None:
    """The code used here for an ISO 639-1 code, with or without a region (pt-BR); None if it is not known.

    Codes that the detector does not tell apart are one: nb and nn are no, bs is hr, ms is id.
    """
    if not isinstance(name, str):
        return None
    code = name.strip().lower().replace("_", "-").split("-")[0]
    code = _ALIASES.get(code, code)
    return code if any(code in table.split() for scripts in (_USUAL, _RARE) for table in scripts.values()) else None


@lru_cache(maxsize=512)
def scripts_of(language: str) -> frozenset[str]:
    """The scripts that `language` is written in."""
    return frozenset(s for table in (_USUAL, _RARE) for s, codes in table.items() if language in codes.split())


@lru_cache(maxsize=512)
def candidates(script: str, target: str) -> frozenset[str]:
    """The languages among which a text in `script` is decided, the target always among them."""
    own = {target} if script in scripts_of(target) else set()
    return frozenset({*_USUAL[script].split(), *own})


def probabilities(text: str, languages: frozenset[str]) -> dict[str, float]:
    """Language -> probability, among `languages`; they sum to 1. Empty if the detector sees nothing in the text.

    Languages that are widely written get four times the weight beforehand, which decides short texts alone.
    """
    seen = [(code, p) for code, p in _identifier().rank(text) if code in languages and p > 0]
    ranked = [(code, p * (_PRIOR if code in _WIDE else 1)) for code, p in seen]
    total = sum(p for _, p in ranked)
    return {code: p / total for code, p in ranked} if total > 0 else {}


def main_language(text: str, *, least_words: int = 3) -> str | None:
    """The language of most of the words of `text`; None if it has fewer than `least_words` words of prose."""
    words = [word for segment in segments(prose(text[:_MOST_MAIN])) for word in segment]
    weights: dict[str, int] = {}
    for word in words:
        weights[word.script] = weights.get(word.script, 0) + word.weight
    if sum(weights.values()) < least_words:
        return None
    if weights.get("kana", 0) * 10 >= weights.get("han", 0) > 0:
        weights["kana"] += weights.pop("han")
    script = max(weights, key=lambda name: weights[name])
    return "zh" if script == "han" else _best(words, script)


def _best(words: Sequence[Word], script: str) -> str | None:
    usual = candidates(script, "")
    if len(usual) == 1:
        return next(iter(usual))
    found = probabilities(" ".join(word.text for word in words if word.script == script), usual)
    return max(found, key=lambda code: found[code]) if found else None


def _identifier() -> Any:
    with _lock:
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> Any:
    langid: Any = importlib.import_module("py3langid.langid")  # imported so because it has no annotations
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
