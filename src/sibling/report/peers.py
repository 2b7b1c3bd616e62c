"""A peer's settings as a part of a recipe: what is kept, what is kept with another meaning, what cannot be kept.

`trl.py` and `verl.py` know the peers; here is what they share. Every setting that is given ends in one of the three
lists, and a default of the peer that is not ours is written out as if it had been given. The fragment is checked as
`sibling train` would check it; a combination that is refused here is reported, not hidden.
"""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sibling.config import parse_recipe
from sibling.errors import RequestError
from sibling.report.text import one_line

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Translation:
    """What became of a peer's settings; every entry of a list is a sentence for a person."""

    peer: str  # name, version and class of settings
    recipe_fragment: dict[str, Any]  # sections of a recipe, without task and rewards
    kept: tuple[str, ...]  # same meaning here
    changed: tuple[str, ...]  # there is a like, but it differs: how
    dropped: tuple[str, ...]  # no like here: why
    missing: tuple[str, ...]  # what the fragment needs to be a recipe


def read_settings(path: Path) -> dict[str, Any]:
    """The mapping in a JSON or YAML file. Raises `RequestError` when the file is absent, malformed or no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RequestError(
            f"Cannot read the settings in {path}", seen=" ".join(str(error).split()), wanted="a JSON or YAML file"
        ) from error
    if not isinstance(data, dict):
        raise RequestError(
            f"The settings in {path} are not a mapping", seen=type(data).__name__, wanted="names with values"
        )
    return {str(key): value for key, value in data.items()}


@dataclass
class Draft:
    """A translation being written.

    `given` are the settings by name, `defaults` those of the peer that matter here. The type of a default is the type
    wanted, and null stands for an optional number. Reading a setting counts it as dealt with.
    """

    peer: str
    given: Settings
    defaults: Settings
    outside: frozenset[str]  # the peer's other settings: how it runs, not what it optimises
    fragment: dict[str, Any] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)  # in one of the lists
    unlike: set[str] = field(default_factory=set)  # their values have no like here

    def value(self, name: str) -> Any:
        """The setting as given, or the peer's default. Raises `RequestError` for a value of another type."""
        self.read.add(name)
        seen = self.given.get(name)
        return self.defaults[name] if seen is None else self._typed(name, seen, self.defaults[name])

    def number(self, name: str) -> float:
        """A number that cannot be null."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, value, "a number")
        return value

    def count(self, name: str) -> int:
        """A whole number of at least 1."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
            raise self._wrong(name, value, "a whole number of at least 1")
        return int(value)

    def choice(self, name: str, known: Mapping[str, Any]) -> str | None:
        """The setting if it is one of `known`; else None, and it is reported as dropped."""
        value = self.value(name)
        if isinstance(value, str) and value in known:
            return value
        near = difflib.get_close_matches(str(value), list(known), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        self.dropped.append(f"{self.said(name)}: there is no like here; {hint}known: {', '.join(known)}")
        self.unlike.add(name)
        return None

    def said(self, name: str) -> str:
        """The setting as a person wrote it, or with the word default; to be put into one of the lists."""
        self.named.add(name)
        if name in self.given:
            return f"{name} {_plain(self.given[name])}"
        return f"{name} {_plain(self.defaults[name])} (the default)"

    def carry(self, name: str, key: str, value: Any, why: str = "") -> None:
        """Write `value` at `key` of the fragment as the meaning of the setting; `why` only if the meaning differs."""
        self.put(key, value)
        line = f"{self.said(name)} -> {key} {_plain(value)}"
        if name in self.unlike:
            self.dropped.append(f"in place of {name} the fragment has {key} {_plain(value)}")
        elif why:
            self.changed.append(f"{line}: {why}")
        else:
            self.kept.append(line)

    def put(self, key: str, value: Any) -> None:
        """Write `value` at a dotted key of the fragment."""
        node = self.fragment
        *parents, last = key.split(".")
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value

    def done(self) -> Translation:
        """The translation, with every setting that was given accounted for and the fragment checked."""
        self._account()
        try:
            parse_recipe(complete(self.fragment), source="the fragment")
        except RequestError as error:
            self.dropped.append(f"as it stands, sibling refuses the fragment: {error.what}")
        return Translation(
            peer=self.peer,
            recipe_fragment=self.fragment,
            kept=tuple(one_line(x) for x in self.kept),
            changed=tuple(one_line(x) for x in self.changed),
            dropped=tuple(one_line(x) for x in self.dropped),
            missing=tuple(key for key in ("steps", "task", "rewards") if key not in self.fragment),
        )

    def _account(self) -> None:
        quiet = [name for name in self.given if name in self.read and name not in self.named]
        self.kept += [f"{self.said(name)}: as here" for name in quiet]
        left = [name for name in self.given if name not in self.read]
        idle = [name for name in left if name in self.defaults]
        if idle:
            self.dropped.append(f"without effect in {self.peer} with these settings: {', '.join(idle)}")
        runs = [name for name in left if name in self.outside]
        if runs:
            more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
            names = ", ".join(runs[:_NAMED]) + more
            self.dropped.append(f"how {self.peer} runs, not what it optimises; see to it in the recipe: {names}")
        for name in left:
            if name not in self.defaults and name not in self.outside:
                near = difflib.get_close_matches(name, [*self.defaults, *self.outside], n=1, cutoff=0.6)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self.dropped.append(f"{name}: {self.peer} has no such setting{hint}")

    def _typed(self, name: str, seen: Any, default: Any) -> Any:
        if isinstance(default, bool):
            if not isinstance(seen, bool):
                raise self._wrong(name, seen, "true or false")
            return seen
        if isinstance(default, tuple):
            if not isinstance(seen, list | tuple | str):
                raise self._wrong(name, seen, "a list")
            return [seen] if isinstance(seen, str) else seen
        if isinstance(default, str):
            return seen
        if isinstance(seen, bool):
            raise self._wrong(name, seen, "a number")
        try:
            # YAML 1.1 reads 1e-6 as text.
            return float(seen) if isinstance(seen, str) else seen
        except ValueError:
            raise self._wrong(name, seen, "a number") from None

    def _wrong(self, name: str, seen: Any, wanted: str) -> RequestError:
        return RequestError(f"The setting {name} of {self.peer} is not what it takes", seen=repr(seen), wanted=wanted)


def complete(fragment: Mapping[str, Any]) -> dict[str, Any]:
    """`fragment` with the smallest task, reward and number of steps where it has none: a recipe to check it by."""
    least: dict[str, Any] = {
        "name": "translated",
        "steps": 1,
        "task": {"type": "largest_number"},
        "rewards": [{"type": "final_number"}],
    }
    return {**least, **fragment}


def fragment_yaml(translation: Translation) -> str:
    """The fragment as YAML, with a comment that says where it is from and what has to be added."""
    head = [f"# Translated from the settings of {translation.peer}."]
    if translation.missing:
        head.append(f"# To be a recipe it needs: {', '.join(translation.missing)}.")
    return "\n".join(head) + "\n" + yaml.safe_dump(translation.recipe_fragment, sort_keys=False)


def translation_text(translation: Translation, width: int = 100) -> str:
    """The whole translation for a person: the fragment, then what is kept, changed and dropped."""
    parts = [fragment_yaml(translation).rstrip()]
    for title, lines in (
        ("Kept", translation.kept),
        ("Kept with another meaning", translation.changed),
        ("Not kept", translation.dropped),
    ):
        if lines:
            bullets = [textwrap.fill(x, width, initial_indent="- ", subsequent_indent="  ") for x in lines]
            parts.append("\n".join([f"{title}:", *bullets]))
    return "\n\n".join(parts) + "\n"


_NAMED = 12  # settings named before "and N more"


def _plain(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
