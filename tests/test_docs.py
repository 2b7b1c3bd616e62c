"""The pages and the README say what is there: recipes load, code compiles, links lead somewhere, no knob is missing."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from sibling.config import load_recipe
from sibling.stats import QUANTITIES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    path = ROOT / "docs" / "_ext" / "config_reference.py"
    spec = importlib.util.spec_from_file_location("config_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recipe_of_the_readme_loads_and_is_short(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "README.md", "yaml")
    (tmp_path / "which.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "which.yaml", ["seed=1", "sampling.group_size=16"])
    assert recipe.sampling.group_size == 16
    assert len(text.splitlines()) <= 20


def test_the_python_of_the_readme_is_short() -> None:
    (text,) = blocks(ROOT / "README.md", "python")
    assert len(text.splitlines()) <= 15


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_on_a_page_is_python_and_imports_what_exists(page: Path) -> None:
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "sibling":
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name), f"{node.module}.{name.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_knob_is_on_the_configuration_page(reference: ModuleType) -> None:
    text = reference.config_reference()
    for knob in (ROOT / "tests" / "knobs.txt").read_text(encoding="utf-8").split():
        section, _, name = knob.rpartition(".")
        if name == "type":
            continue
        heading = "The recipe"
        if section:
            # model[hub].id is the row `id` under the heading "`model`, type `hub`".
            last = re.fullmatch(r"(.*?)(?:\[(\w+)\])?", re.sub(r"\[\w+\](?=\.)", "", section))
            assert last is not None
            path = last[1] + ("[]" if last[1] == "rewards" else "")
            heading = f"`{path}`" + (f", type `{last[2]}`" if last[2] else "")
        (table,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
        assert f"\n| `{name}` |" in table, knob


def test_ranges_and_defaults_are_shown_as_a_recipe_writes_them(reference: ModuleType) -> None:
    text = reference.config_reference()
    assert "| `group_size` | integer | `8` | ≥ 1; G, completions a prompt |" in text
    assert "| `enabled` | true or false | `false` |" in text
    assert "| `every` | integer or null | `null` | ≥ 1;" in text
    assert "| `betas` | list of 2, each number | `0.9`, `0.95` |" in text
    assert "PydanticUndefined" not in text
    assert "typing." not in text


def test_every_quantity_is_on_the_statistics_page(reference: ModuleType) -> None:
    table = reference.quantities()
    for name, quantity in QUANTITIES.items():
        assert f"| `{name}` | {quantity.unit} |" in table
    assert table.count("| yes |") == sum(q.wall_clock for q in QUANTITIES.values())
