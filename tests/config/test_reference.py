"""The configuration page and the table of combinations, as they are made from the code."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from sibling.config import RULES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    path = ROOT / "docs" / "_ext" / "config_reference.py"
    spec = importlib.util.spec_from_file_location("config_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(reference: ModuleType) -> str:
    return str(reference.config_reference())


def section(page: str, heading: str) -> str:
    (found,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page, re.DOTALL | re.MULTILINE)
    return str(found)


def test_what_all_types_take_is_said_once(page: str) -> None:
    common = section(page, "`objective`")
    assert "It comes in 35 types" in common
    assert "| `aggregation` | " in common and "| `token_mean`, or the type's own |" in common
    assert "| `advantage` | one of 15 types | type `group`, or the type's own |" in common
    assert "| `sampler_correction` | section | `null` |" in common
    assert page.count("| `count_masked_sequences` |") == 1
    assert page.count("| `weight` |") == 1
    assert page.count("| `system` |") == 1


def test_a_type_says_what_it_adds_and_what_it_changes(page: str) -> None:
    dapo = section(page, "`objective`, type `dapo`")
    assert "| `clip_high` | number | `0.28` |" in dapo
    assert "| `aggregation` |" not in dapo and "| `advantage` |" not in dapo
    rloo = section(page, "`objective`, type `rloo`")
    assert "| type `rloo` |" in rloo
    assert "| `seq_mean_token_sum` |" in rloo
    assert "| `placement: reward` |" in rloo
    assert "| type `group`, `scale: none` |" in section(page, "`objective`, type `dr_grpo`")


def test_parts_have_their_own_sections(page: str) -> None:
    for heading in ("`objective.advantage`, type `gae`", "`objective.kl.reference`, type `ema`", "`objective.kl`"):
        assert section(page, heading).strip()
    assert "| `value_clip` |" in section(page, "`objective.advantage.critic`")
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    assert len(headings) == len(set(headings))


def test_every_combination_is_in_the_table_under_what_happens_to_it(reference: ModuleType) -> None:
    refused, warned = reference.combinations().split("\n\n")
    assert refused.startswith("| refused | because | do |")
    assert warned.startswith("| warned of | because | do |")
    for rule in RULES:
        own, other = (refused, warned) if rule.severity == "refuse" else (warned, refused)
        assert f"\n| {rule.name} | " in own
        assert f"\n| {rule.name} | " not in other


def test_a_page_gets_what_its_comments_ask_for(reference: ModuleType) -> None:
    class Env:
        def __init__(self) -> None:
            self.read: list[str] = []

        def note_dependency(self, name: str, *, docname: str) -> None:
            self.read.append(Path(name).name)

    class App:
        env = Env()

    source = ["before\n<!-- combinations -->\nafter"]
    reference._fill(App(), "objectives", source)
    assert source[0] == f"before\n{reference.combinations()}\nafter"
    assert {"config_reference.py", "rules_terms.py", "legal.py"} <= set(App.env.read)
