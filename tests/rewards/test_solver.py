"""Answers confirmed by z3, by evaluation, or by a SAT solver, in a real child process."""

import itertools
import time

import pytest

from sibling.batch import Status
from sibling.config.rewards import SolverReward
from sibling.errors import RequestError
from sibling.rewards import solver as solver_module
from sibling.rewards.grade import stating
from sibling.rewards.solver import Solver
from sibling.tasks.task import Task

pytest.importorskip("z3")
pytest.importorskip("pysat")

DECLARED = "(declare-const x Int) (declare-const y Int) (declare-const p Bool) (declare-const b (_ BitVec 8))"
CNF = "c a remark\np cnf 3 3\n1 -2 0\n2 3 0\n-1 -3 0\n"
NO_WAY = "p cnf 2 4\n1 2 0\n-1 2 0\n1 -2 0\n-1 -2 0\n"


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


@pytest.fixture(scope="module")
def solvers():
    checks = ("equivalent", "satisfies", "sat_assignment")
    return {check: Solver(SolverReward(check=check, seconds=1.5)) for check in checks}


def task(reference, declarations=DECLARED):
    return Task("t", (), reference, {} if declarations is None else {"declarations": declarations})


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("(> x 3)", "(> x 3)"),
        ("(> x 3)", "(not (<= x 3))"),
        ("(> x 3)", "```smt2\n(>= x 4) ; for whole numbers\n```"),
        ("(* 2.0 (to_real x))", "(+ x x)"),
        ("(* 2 (+ x y))", "<think>hm</think>(+ x x (* y 2))"),
        ("(and p (=> p (> x 0)))", "(and (> x 0) p)"),
        ("(bvadd b b)", "(bvshl b #x01)"),
        ("(exists ((k Int)) (= x (* 2 k)))", "(= (mod x 2) 0)"),
        ("(ite p x y)", "(let ((z x)) (ite (not p) y z))"),
    ],
)
def test_terms_that_mean_the_same_are_right(solvers, reference, answer):
    verdict = solvers["equivalent"].judge(task(reference), stating(answer))
    assert (verdict.status, verdict.code) == (Status.right, "equivalent")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("(> x 4)", "different"),
        ("true", "different"),
        ("(+ x 3)", "unreadable"),  # another sort
        ("(ite (> x 3) 1 0)", "unreadable"),
        ("x > 3", "unreadable"),
        ("", "no_answer"),
        ("(> x 3", "unreadable"),
        ("(> x 3))", "unreadable"),
        ("(> x 3) (assert false)", "unreadable"),
        ("(assert (> x 3))", "forbidden"),
        ("(> x 3)) (assert false", "unreadable"),
        ("(set-option :timeout 0)", "forbidden"),
        ('(include "/etc/passwd")', "forbidden"),
        ("(define-fun f () Bool true)", "forbidden"),
        ("(check-sat)", "forbidden"),
        ("(> q 3)", "unreadable"),
        ("(> |x) (assert false| 3)", "unreadable"),
        ('(> x "a")', "unreadable"),
        ("(> x 3)\n```\n(> x 4)\n```\n```\n(> x 3)\n```", "hedged"),
        ("(" * 20_000, "too_long"),
        ("(not " * 3000, "too_long"),
        ("(> x " + "9" * 10_000 + ")", "unreadable"),
        ("(= b ((_ repeat 99999999) b))", "too_long"),
        ("(> x 3)\0", "unreadable"),
        ("(> x \ud800)", "unreadable"),
        ("x" * 1_000_000, "too_long"),
    ],
    ids=short,
)
def test_other_terms_and_whatever_is_no_term_are_wrong(solvers, answer, code):
    verdict = solvers["equivalent"].judge(task("(> x 3)"), stating(answer))
    assert (verdict.status, verdict.score, verdict.code) == (Status.wrong, 0.0, code)


def test_what_the_solver_cannot_decide_is_not_wrong(solvers):
    cubes = "(declare-const x Int) (declare-const y Int) (declare-const z Int)"
    fermat = "(and (> x 0) (> y 0) (> z 0) (= (+ (* x x x) (* y y y)) (* z z z)))"
    start = time.monotonic()
    verdict = solvers["equivalent"].judge(task(fermat, cubes), stating("(and false (> x y z))"))
    assert (verdict.status, verdict.code) == (Status.abstain, "unknown")
    assert time.monotonic() - start < 10
    assert solvers["equivalent"].judge(task("(> x 3)"), stating("(< 3 x)")).status is Status.right


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("((x 3) (y 4))", "satisfies"),
        ("x = 3, y = 4", "satisfies"),
        ("x := 3\ny := 4", "satisfies"),
        ("x = 3 and y = 4", "satisfies"),
        ('{"x": 3, "y": 4}', "satisfies"),
        ('```json\n{"y": 4, "x": 3}\n```', "satisfies"),
        ("((x (- 10)) (y 17))", "satisfies"),
        ("x = 3, y = 5", "violated"),
        ("x = 7, y = 0", "violated"),
        ("x = 3", "missing_value"),
        ("", "no_answer"),
        ("x = 3, y = 4, z = 1", "unreadable"),
        ("x = 3, y = 4, x = 5", "hedged"),
        ('{"x": 3, "y": 4, "x": 5}', "hedged"),
        ("x = 3.5, y = 3.5", "wrong_type"),
        ("x = true, y = 4", "wrong_type"),
        ("x = 3) (assert false, y = 4", "wrong_type"),
        ("x = 3, y = 4 or x = 4, y = 3", "unreadable"),
        ("x = 3, y = 4 I think", "wrong_type"),
        ("((x 3) (y y))", "wrong_type"),
        ("x = 3/0, y = 4", "wrong_type"),
        ("x = " + "9" * 5000 + ", y = 4", "unreadable"),
    ],
    ids=short,
)
def test_values_have_to_satisfy_the_constraints(solvers, answer, code):
    two = "(declare-const x Int)\n(declare-fun y () Int)"
    verdict = solvers["satisfies"].judge(task("(assert (= (+ x y) 7)) (> y 0)", two), stating(answer))
    assert (verdict.status is Status.right) == (code == "satisfies")
    assert (verdict.score is not None, verdict.code) == (True, code)


@pytest.mark.parametrize(
    ("sort", "value", "accepted"),
    [
        ("Real", "1/2", True),
        ("Real", "0.5", True),
        ("Real", "(/ 1 2)", True),
        ("Real", "0.50001", False),
        ("Real", "true", False),
        ("Bool", "true", True),
        ("Bool", "1", False),
        ("(_ BitVec 4)", "#b1010", True),
        ("(_ BitVec 4)", "#xa", True),
        ("(_ BitVec 4)", "10", True),
        ("(_ BitVec 4)", "#b01010", False),
        ("(_ BitVec 4)", "26", False),
        ("String", '"ab"', True),
        ("String", "ab", False),
    ],
)
def test_values_are_read_by_their_sort(solvers, sort, value, accepted):
    wanted = {"Real": "(= v 0.5)", "Bool": "v", "(_ BitVec 4)": "(= v #xa)", "String": '(= v "ab")'}[sort]
    verdict = solvers["satisfies"].judge(task(wanted, f"(declare-const v {sort})"), stating(f"((v {value}))"))
    assert (verdict.status is Status.right) is accepted, verdict


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("1 2 -3 0", "satisfies"),
        ("v 1 2\nv -3 0", "satisfies"),
        ("s SATISFIABLE\nv 1 2 -3 0", "satisfies"),
        ("-1 -2 3", "satisfies"),
        ("1 2 3 0", "violated"),
        ("1", "violated"),
        ("1 -1 2 -2 3 -3 0", "hedged"),
        ("1 2 -3 0 1 0", "unreadable"),
        ("1 2 -4 0", "unreadable"),
        ("0", "violated"),
        ("", "no_answer"),
        ("x", "unreadable"),
        ("UNSAT", "satisfiable"),
        ("1 " * 300_000, "too_long"),
    ],
    ids=short,
)
def test_assignments_are_evaluated(solvers, answer, code):
    verdict = solvers["sat_assignment"].judge(task(CNF, None), stating(answer))
    assert (verdict.status is Status.right, verdict.code) == (code == "satisfies", code)


def test_assignments_agree_with_trying_all(solvers):
    clauses = [[1, -2], [2, 3], [-1, -3]]
    for signs in itertools.product((1, -1), repeat=3):
        literals = [sign * place for place, sign in enumerate(signs, start=1)]
        holds = all(any(literal in literals for literal in clause) for clause in clauses)
        verdict = solvers["sat_assignment"].judge(task(CNF, None), stating(" ".join(map(str, literals)) + " 0"))
        assert (verdict.status is Status.right) is holds


@pytest.mark.parametrize("answer", ["UNSAT", "unsatisfiable", "s UNSATISFIABLE"])
def test_the_claim_that_there_is_none_is_checked(solvers, answer):
    assert solvers["sat_assignment"].judge(task(NO_WAY, None), stating(answer)).code == "unsatisfiable"
    assert solvers["sat_assignment"].judge(task(NO_WAY, None), stating("1 2 0")).code == "violated"


def test_a_claim_that_cannot_be_checked_in_time_is_not_wrong(solvers):
    holes, pigeons = 11, 12  # hard for every solver that learns clauses: as many pigeons as do not fit
    place = {(p, h): p * holes + h + 1 for p in range(pigeons) for h in range(holes)}
    clauses = [[place[p, h] for h in range(holes)] for p in range(pigeons)]
    pairs = itertools.combinations(range(pigeons), 2)
    clauses += [[-place[p, h], -place[q, h]] for p, q in pairs for h in range(holes)]
    cnf = f"p cnf {pigeons * holes} {len(clauses)}\n" + "".join(" ".join(map(str, c)) + " 0\n" for c in clauses)
    verdict = solvers["sat_assignment"].judge(task(cnf, None), stating("UNSAT"))
    assert (verdict.status, verdict.code) == (Status.abstain, "unknown")


@pytest.mark.parametrize(
    ("check", "reference", "declarations", "words"),
    [
        ("equivalent", None, DECLARED, "no reference"),
        ("equivalent", "(> x 3)", None, "`declarations`"),
        ("equivalent", "(> q 3)", DECLARED, "cannot be read"),
        ("equivalent", "(> x 3) (> x 4)", DECLARED, "one term"),
        ("equivalent", "(> x 3)", "(assert false)", "not a declaration"),
        ("satisfies", "(and (> x 3) (< x 3))", "(declare-const x Int)", "no values"),
        ("satisfies", "(> (f 1) 3)", "(declare-fun f (Int) Int)", "not a constant"),
        ("sat_assignment", "1 2 0", None, "p cnf"),
        ("sat_assignment", "p cnf 2 2\n1 2 0", None, "2 clauses"),
        ("sat_assignment", "p cnf 1 1\n1 2 0", None, "beyond"),
    ],
)
def test_tasks_that_cannot_be_graded_say_why(solvers, check, reference, declarations, words):
    broken = task(reference, declarations)
    assert words in solvers[check].problem_with(broken)
    verdict = solvers[check].judge(broken, stating("true"))
    assert verdict.code == ("no_reference" if reference is None else "bad_reference")


def test_sound_tasks_have_no_problem(solvers):
    assert solvers["equivalent"].problem_with(task("(> x 3)")) is None
    assert solvers["satisfies"].problem_with(task("(> x 3)")) is None
    assert solvers["sat_assignment"].problem_with(task(CNF, None)) is None


def test_the_span_is_the_answer(solvers):
    text = "<think>x</think>```\n (> x 3) \n```"
    verdict = solvers["equivalent"].judge(task("(> x 3)"), stating(text))
    assert text[slice(*verdict.span)] == "(> x 3)"


@pytest.mark.parametrize(("check", "package"), [("equivalent", "z3-solver"), ("sat_assignment", "python-sat")])
def test_a_missing_package_is_named_before_training(monkeypatch, check, package):
    monkeypatch.setattr(solver_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=rf"{package}.*sibling\[verifiers\]"):
        Solver(SolverReward(check=check))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 50_000_000,
        " " * 50_000_000,
        "```a\n" * 2_000_000,
        "```\n" * 40_001,
        "{" * 20_000,
        "(" * 20_000,
        '"' * 20_000,
        "'" * 20_000,
        "\0" * 100,
        "\ud800" * 100,
        "10^{10^{10}}",
        "<think>" + "x" * 1_000_000,
    ],
    ids=short,
)
def test_hostile_texts_get_a_verdict_at_once(solvers, text):
    start = time.monotonic()
    for check, reference in (("equivalent", "(> x 3)"), ("satisfies", "(> x 3)"), ("sat_assignment", CNF)):
        assert solvers[check].judge(task(reference), stating(text)).status is Status.wrong
    assert time.monotonic() - start < 10
