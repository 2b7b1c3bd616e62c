"""Numbers and untrusted text, made fit for a person: units, signs, control characters, chat markers.

Completions and prompts are untrusted: `clean` takes out what could steer a terminal or a browser's text
layout. It does not escape HTML (`html.escape` does, where HTML is written).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta

from sibling.stats import QUANTITIES

MINUS = "\N{MINUS SIGN}"
NARROW = "\N{NARROW NO-BREAK SPACE}"

_ROLE_MARKER = re.compile(
    r"(<\|[^<>|\n]{1,40}\|>|</?(?:start|end)_of_turn>|\[/?INST\]|</?s>|<(?:bos|eos|pad)>)", re.IGNORECASE
)


def clean(text: str) -> str:
    """`text` without control, format and surrogate characters; new lines and tabs stay.

    Covers escape sequences (their ESC goes, so the rest is plain text), bidirectional overrides and zero-width
    characters, all of Unicode categories Cc, Cf and Cs, and also the line separators U+2028 and U+2029.
    """
    text = text.replace("\r\n", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def one_line(text: str) -> str:
    """`text` cleaned, on one line: a new line shows as a return sign, runs of blanks as one blank."""
    return re.sub(
        r"[ \t]+", " ", re.sub(r"\s*\n\s*", " \N{DOWNWARDS ARROW WITH CORNER LEFTWARDS} ", clean(text).strip())
    )


def plain(text: str, encoding: str | None) -> str:
    """`text` with simple blanks and signs, and a question mark for what `encoding` cannot write."""
    for fine, simple in ((NARROW, " "), (MINUS, "-"), ("\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", "|")):
        text = text.replace(fine, simple)
    encoding = encoding or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)


def last_user_text(rendered: str) -> str:
    """What the user asked last, out of a prompt rendered with a chat template.

    Knows templates that mark turns with `<|role|>`, `<|im_start|>role`, `<|start_header_id|>role`,
    `<start_of_turn>role` or `[INST]`; anything else comes back whole.
    """
    pieces = _ROLE_MARKER.split(rendered)
    found = ""
    awaited = False  # the marker just seen says that the user's text follows
    for piece in pieces:
        if _ROLE_MARKER.fullmatch(piece):
            name = piece.strip("<|>[]").lower()
            awaited = name in ("user", "inst") or (awaited and name == "end_header_id")
            continue
        first, _, rest = piece.partition("\n")
        if first.strip().lower() == "user":
            awaited = not rest.strip()
            found = rest.strip() or found
        elif awaited and piece.strip():
            found, awaited = piece.strip(), False
    return found or rendered.strip()


def number(value: float, digits: int = 3) -> str:
    """About `digits` significant digits, commas between thousands, a real minus sign."""
    magnitude = abs(value)
    if magnitude >= 1000:
        text = f"{magnitude:,.0f}"
    elif magnitude != 0 and magnitude < 1e-3:
        mantissa, _, exponent = f"{magnitude:.{digits - 1}e}".partition("e")
        text = f"{mantissa}e{MINUS if exponent.startswith('-') else ''}{exponent.lstrip('+-0')}"
    elif magnitude >= 100:
        text = f"{magnitude:.0f}"
    elif magnitude >= 10:
        text = f"{magnitude:.1f}"
    else:
        text = f"{magnitude:.{digits - 1}f}" if magnitude >= 0.1 or magnitude == 0 else f"{magnitude:.{digits}f}"
    return MINUS + text if value < 0 and text.strip("0.") else text


def signed(value: float, digits: int = 3) -> str:
    """`number` with a plus sign in front of what is above 0."""
    return ("+" if value > 0 else "") + number(value, digits)


def percent(share: float) -> str:
    """A share in 0..1 as a percentage: `97 %`, `4.5 %`."""
    return f"{_hundredths(share)}{NARROW}%"


def points(difference: float, decimals: int = 1) -> str:
    """A difference of shares in percentage points, signed, without the unit."""
    text = _hundredths(abs(difference), decimals)
    return (MINUS if difference < 0 and text != "0" else "+") + text


def percent_interval(interval: tuple[float, float]) -> str:
    """`91 to 99 %`; one decimal for an interval narrower than five points."""
    low, high = (_hundredths(v, _decimals(interval)) for v in interval)
    return f"{low} to {high}{NARROW}%"


def points_interval(interval: tuple[float, float]) -> str:
    """`+86 to +96`; one decimal for an interval narrower than five points."""
    low, high = (points(v, _decimals(interval)) for v in interval)
    return f"{low} to {high}"


def _decimals(interval: tuple[float, float]) -> int:
    return 0 if interval[1] - interval[0] >= 0.05 else 1


def quantity(name: str, value: float) -> str:
    """The value of a step statistic with its unit, as `stats.QUANTITIES` defines it."""
    unit = QUANTITIES[name].unit
    if unit == "share":
        return percent(value)
    if unit == "bytes":
        return f"{number(value / 1e9)} GB"
    if unit == "s":
        return duration(value)
    return f"{number(value)} {unit}"


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3 min 12 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = timedelta(seconds=round(seconds))
    hours, rest = divmod(int(whole.total_seconds()), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """`1 step`, `60 steps`."""
    return f"{number(n) if n >= 1000 else n} {noun if n == 1 else plural or noun + 's'}"


def _hundredths(share: float, decimals: int = 1) -> str:
    text = f"{100 * share:.{decimals}f}"
    text = text.removesuffix(".0")
    return text.replace("-", MINUS) if text not in ("-0", "0") else "0"
