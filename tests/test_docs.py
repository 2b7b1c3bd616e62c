"""The pages and the README say what is there: recipes load, code compiles, links lead somewhere, no knob is missing."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from sibling.audit.probes import PROBES
from sibling.batch import Fate
from sibling.config import RewardConfig, load_recipe
from sibling.maths import aggregation, corrections, kl
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.objectives import OBJECTIVES
from sibling.record.events import BODIES
from sibling.record.lifecycle import TRANSITIONS
from sibling.record.samples import SCHEMA
from sibling.rewards.gym_answers.table import families
from sibling.rewards.instructions import describe
from sibling.sandbox.levels import Level
from sibling.stats import QUANTITIES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_ext" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return extension("config_reference")


@pytest.fixture(scope="module")
def objectives() -> ModuleType:
    return extension("objective_table")


@pytest.fixture(scope="module")
def verifiers() -> ModuleType:
    return extension("verifier_tables")


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
            path = re.sub(r"^rewards\b", "rewards[]", last[1])
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


def test_every_recipe_that_ships_is_on_its_page() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for path in (ROOT / "recipes").rglob("*.yaml"):
        name = path.relative_to(ROOT / "recipes")
        assert f"| `{name}` |" in page
        assert f"```{{literalinclude}} ../recipes/{name}\n" in page


# ------------------------------------------------------------------------------- tables made from the code


def test_every_extension_of_the_pages_is_loaded_when_they_are_built() -> None:
    (loaded,) = re.findall(
        r"^extensions = \[(.*?)\]", (ROOT / "docs" / "conf.py").read_text(), re.DOTALL | re.MULTILINE
    )
    own = {path.stem for path in (ROOT / "docs" / "_ext").glob("*.py")}
    assert own <= set(re.findall(r'"(\w+)"', loaded))


def test_every_place_for_a_table_is_filled_by_an_extension(
    reference: ModuleType, objectives: ModuleType, verifiers: ModuleType
) -> None:
    wanted = {m for page in PAGES for m in re.findall(r"<!-- ([\w-]+) -->", page.read_text(encoding="utf-8"))}
    assert wanted == {*reference.MARKERS, *objectives.MARKERS, *verifiers.MARKERS}


def test_every_verifier_has_a_line_on_the_page() -> None:
    page = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")
    for section in get_args(get_args(RewardConfig)[0]):
        assert f"\n| `{section.model_fields['type'].default}` |" in page


def test_the_tables_of_the_verifiers_have_every_row(verifiers: ModuleType) -> None:
    assert verifiers.instructions().count("\n| `") == len(describe())
    assert verifiers.gym_families().count("\n| `") == len(families())
    probes = verifiers.audit_probes()
    assert all(f"`{p.name}`" in probes for p in PROBES)
    assert all(f"`{level.name}`" in verifiers.sandbox_levels() for level in Level)


def test_every_objective_has_its_line_and_its_section(objectives: ModuleType) -> None:
    table, sections = objectives.objective_table(), objectives.objective_rows()
    for row in OBJECTIVES.values():
        target = objectives.anchor(row)
        assert f"| [`{row.name}`](#{target}) |" in table
        (section,) = re.findall(rf"^\({target}\)=\n(.*?)(?=^\(objective-|\Z)", sections, re.DOTALL | re.MULTILINE)
        assert section.startswith(f"### {row.title}\n")
        assert "".join(row.equation.split()) in "".join(section.split())
        assert section.count("\n- ") == len(row.notes)
    assert sections.count("\n### ") == len(OBJECTIVES)


def test_a_row_says_where_it_puts_a_kl_penalty(objectives: ModuleType) -> None:
    lines = {line.split("`")[1]: line for line in objectives.objective_table().splitlines()[2:]}
    assert "| in the reward |" in lines["rloo"]
    assert "| `k3_is` in the loss |" in lines["deepseek_v3_2"]


def test_every_estimator_is_in_the_table_and_in_the_text(objectives: ModuleType) -> None:
    table, page = objectives.estimators(), (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    for name in ESTIMATORS:
        assert f"\n| `{name}` |" in table
        assert f"`{name}`" in page or f"`scale: {name}`" in page, name


@pytest.mark.parametrize(
    "names",
    [aggregation.MODES, tuple(kl.ESTIMATORS), corrections.LEVELS, corrections.ACTIONS, ("initial", "refresh", "ema")],
    ids=["aggregation", "kl", "level", "action", "reference"],
)
def test_every_part_of_an_objective_is_in_a_table_of_the_page(names: tuple[str, ...]) -> None:
    page = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    for name in names:
        assert f"\n| `{name}` |" in page, name


def test_the_page_of_the_record_names_every_event_column_and_fate() -> None:
    page = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    firsts = {w for cell in re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE) for w in re.split(r", ", cell.strip())}
    assert {f"`{event}`" for event in BODIES} <= firsts
    assert set(SCHEMA.names) <= firsts
    assert {str(fate) for fate in Fate} <= firsts


def test_the_table_of_legal_orders_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    for state, moves in TRANSITIONS.items():
        (cell,) = re.findall(rf"^\| {state} \| (.+) \|$", page, re.MULTILINE)
        told = dict(((*part.split(" → "), str(state))[:2]) for part in cell.split(", "))
        assert told == {event: str(to) for event, to in moves.items()}
