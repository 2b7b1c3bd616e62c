from types import MappingProxyType, SimpleNamespace

from sibling.report.objectives import check_text, describe, equation_lines, listing

ROW = SimpleNamespace(
    name="dapo",
    title="DAPO",
    paper="arXiv 2503.14476",
    equation="loss = -min(r A, clip(r) A),  A = R - mean",
    aggregation="token_mean",
    numbers=MappingProxyType({"clip_low": 0.2, "dual_clip": None}),
    advantage_defaults=MappingProxyType({"ddof": 1}),
    notes=("A note that is long enough to be wrapped when the terminal is as narrow as it is here.",),
)


def test_an_equation_has_one_part_a_line() -> None:
    assert equation_lines(ROW.equation) == ["loss = -min(r A, clip(r) A),", "A = R - mean"]


def test_an_objective_in_full() -> None:
    text = describe(ROW, width=50)
    assert text.startswith("objective dapo: DAPO\narXiv 2503.14476\n")
    assert "  A = R - mean\n" in text
    assert "aggregation token_mean; clip_low 0.2, ddof 1" in text
    assert max(map(len, text.splitlines())) <= 50
    assert "note" not in describe(ROW, notes=False)


def test_a_list_names_each_with_its_paper() -> None:
    assert listing([ROW]) == "dapo  DAPO: arXiv 2503.14476"


def test_a_check_shows_misses_what_is_not_built_and_counts() -> None:
    results = [
        SimpleNamespace(id="a", title="t", status="pass", detail=""),
        SimpleNamespace(id="b", title="t", status="miss", detail="loss: 1, wanted 2"),
        SimpleNamespace(id="c", title="t", status="not built", detail="surrogate gspo"),
        SimpleNamespace(id="d", title="t", status="not built", detail="surrogate gspo"),
    ]
    assert check_text({"float64": results}).splitlines() == [
        "float64  miss  b (t): loss: 1, wanted 2",
        "not built  surrogate gspo: 2 cases",
        "float64: 1 pass, 1 miss, 2 not built",
    ]
