"""Twenty-five defects of rewards in use, each written again in a few lines of our own, and tasks that go with them.

The names say what is wrong, the docstrings where it was seen. Each function is called as `(completion, reference)`,
or with the prompt or the task before them; `DEFECTS` says which probes or checks have to find it.
Some run text as code: that is the defect. They are loaded only by the audit's child processes, in an empty folder.
"""

from __future__ import annotations

import ast
import math
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from sibling.audit.options import Options
from sibling.batch import Completion
from sibling.tasks.task import Task

Score = float


def boxed(completion: str) -> str:
    """What the last box holds, braces inside it included; the whole text without a box."""
    start = completion.rfind("\\boxed{")
    if start < 0:
        return completion.strip()
    depth, inside = 1, start + len("\\boxed{")
    for at in range(inside, len(completion)):
        depth += (completion[at] == "{") - (completion[at] == "}")
        if depth == 0:
            return completion[inside:at].strip()
    return ""


def rational(text: str) -> Fraction | None:
    """A number, a slash or LaTeX fraction; None for the rest, and for exponents no reward of ours has use for."""
    if len(text) > 100 or re.search(r"[eE][+-]?\d{3}", text):
        return None
    plain = re.sub(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", text.strip("$ .")).replace(",", "")
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None


def truthy_halting(completion: str, reference: str) -> Score:
    """reasoning-gym game_of_life_halting: bool("False") is true, so that any text is right."""
    return float(bool(completion) == bool(reference))


def _value(expression: str) -> Fraction | None:
    """A formula of + - * / over integers, exact; without eval."""
    try:
        return _walk(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _walk(node: ast.AST) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return Fraction(node.value)
    if isinstance(node, ast.BinOp):
        left, right = _walk(node.left), _walk(node.right)
        sums = {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}
        return left / right if isinstance(node.op, ast.Div) else sums[type(node.op)]
    raise ValueError(ast.dump(node))


def any_numbers_make_24(completion: str, reference: str) -> Score:
    """reasoning-gym puzzle24: the value is checked, the numbers that were given are not."""
    return float(_value(completion) == 24)


def derivative_only(completion: str, reference: str) -> Score:
    """reasoning-gym simple_integration: the integral sign of the question, left as it is, has the right derivative."""
    import sympy

    x = sympy.Symbol("x")
    try:
        answer, wanted = (sympy.sympify(t.removeprefix("\\int").replace("+ C", "")) for t in (completion, reference))
        return float(sympy.simplify(sympy.diff(answer, x) - sympy.diff(wanted, x)) == 0)
    except Exception:  # as the original: whatever fails is wrong
        return 0.0


def difference_is_constant(completion: str, reference: str) -> Score:
    """reasoning-gym intermediate_integration: evaluates the operators in the answer before it compares."""
    import sympy

    try:
        answer, wanted = (sympy.sympify(text.replace("+ C", "")) for text in (completion, reference))
        return float(not sympy.simplify(answer.doit() - wanted).free_symbols)
    except Exception:
        return 0.0


def python_or(completion: str, reference: str) -> Score:
    """reasoning-gym polynomial_multiplication: `a or b` is a in Python."""
    import sympy

    try:
        answer = eval(completion, {"x": sympy.Symbol("x")})  # noqa: S307  # the defect
        return float(sympy.expand(answer - sympy.sympify(reference)) == 0)
    except Exception:
        return 0.0


def product_of_factors(completion: str, reference: str) -> Score:
    """reasoning-gym prime_factorization: what is no number raises."""
    factors = [int(part) for part in completion.split("\u00d7")]
    return float(math.prod(factors) == math.prod(int(part) for part in reference.split("\u00d7")))


def parsed_24(completion: str, reference: str) -> Score:
    """reasoning-gym puzzle24: the answer goes through sympy's parser, which evaluates it."""
    from sympy.parsing.sympy_parser import parse_expr

    try:
        return float(parse_expr(completion) == 24)
    except Exception:
        return 0.0


def evaluated_board(completion: str, reference: str) -> Score:
    """reasoning-gym n_queens: the board is read with eval."""
    try:
        return float(eval(completion) == ast.literal_eval(reference))  # noqa: S307  # the defect
    except Exception:
        return 0.0


def share_of_length(completion: str, reference: str) -> Score:
    """reasoning-gym, default scorer: any text that holds the answer gets len(answer) / len(text)."""
    if completion == reference:
        return 1.0
    return len(reference) / len(completion) if reference in completion else 0.0


def computes_operators(completion: str, reference: str) -> Score:
    """math-verify: integrals, sums and products in the answer are computed by the verifier."""
    said = boxed(completion)
    if found := re.fullmatch(r"\\(sum|prod)_\{k=1\}\^\{(\d{1,4})\} ?(\d+)", said):
        terms = [int(found[3])] * int(found[2])
        return float(rational(reference) == (sum(terms) if found[1] == "sum" else math.prod(terms)))
    if found := re.fullmatch(r"\\int_\{?0\}?\^\{(\d+)\} ?(\d+)\\,dx", said):
        return float(rational(reference) == int(found[1]) * int(found[2]))
    return float(rational(said) is not None and rational(said) == rational(reference))


def negated_box(completion: str, reference: str) -> Score:
    """math-verify and others: "it is definitely not" before the box is not read."""
    return float("\\boxed" in completion and rational(boxed(completion)) == rational(reference))


def without_units(completion: str, reference: str) -> Score:
    """math-verify: letters after the number are dropped, so that 5 cm is 5 m."""
    said, wanted = (
        rational(re.sub(r"\\text\{[^}]*\}|[A-Za-z ]+$", "", t)) for t in (boxed(completion)[:100], reference)
    )
    return float(said is not None and said == wanted)


def tuple_is_set(completion: str, reference: str) -> Score:
    """math-verify: brackets are dropped, order is not compared."""
    said, wanted = (sorted(re.findall(r"-?\d+", t)) for t in (boxed(completion), reference))
    return float(said == wanted)


def close_enough(completion: str, reference: str) -> Score:
    """An absolute tolerance of 1e-6: all small numbers are the same."""
    said, wanted = rational(boxed(completion)), rational(reference)
    return float(said is not None and wanted is not None and abs(said - wanted) < 1e-6)


def alarmed(completion: str, reference: str) -> Score:
    """math-verify: the time-out uses signal.alarm, which only the main thread may set."""
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(5)
    try:
        said = rational(boxed(completion))
        return float(said is not None and said == rational(reference))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def percent_either_way(completion: str, reference: str) -> Score:
    """verl prime_math: 100 times and a hundredth of the reference are right as well."""
    said, wanted = rational(boxed(completion)), rational(reference)
    if said is None or wanted is None:
        return 0.0
    return float(said in (wanted, wanted * 100, wanted / 100))


def through_float(completion: str, reference: str) -> Score:
    """verl prime_math: integers become floating point, so that 10**16 + 1 is 10**16."""
    said, wanted = rational(boxed(completion)), rational(reference)
    return float(said is not None and wanted is not None and math.isclose(said, wanted, rel_tol=1e-9))


def evaluates_pi(completion: str, reference: str) -> Score:
    r"""verl prime_math: an answer with \pi in it is evaluated as Python."""
    said = boxed(completion)
    if "\\pi" not in said:
        return float(said == reference)
    try:
        value = eval(said.replace("\\pi", "*3.14").lstrip("*"))  # noqa: S307  # the defect
        wanted = eval(reference.replace("\\pi", "*3.14").lstrip("*"))  # noqa: S307  # the defect
        return float(abs(value - wanted) < 1e-4)
    except Exception:
        return 0.0


def _verify(gold: str, answer: str) -> bool:
    """A gold `x=5` takes the answer 5; a gold 5 does not take the answer `x=5`."""
    wanted = {gold.strip(), gold.rpartition("=")[2].strip()}
    return answer.strip() in wanted


def arguments_exchanged(completion: str, reference: str) -> Score:
    """open-r1: the answer is passed as the gold and the gold as the answer."""
    return float(_verify(boxed(completion), reference))


def _run(program: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A program in a fresh interpreter: no sandbox, as in the graders that are meant."""
    command = [sys.executable, "-I", "-c", program]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=1.5, check=False)


def program_of(completion: str) -> str:
    """The fenced program, or the text."""
    found = re.search(r"```(?:python)?\n(.*?)```", completion, re.DOTALL)
    return found[1] if found else completion


def zipped_lines(task: Task, completion: Completion) -> Score:
    """open-r1: lines are compared in pairs, so that what is missing at the end is not missed."""
    for case in task.columns["io"]:
        said, wanted = _run(program_of(completion.text), case["stdin"]).stdout, case["stdout"]
        if not all(a.strip() == b.strip() for a, b in zip(said.strip().split("\n"), wanted.split("\n"), strict=False)):
            return 0.0
    return 1.0


def tags_by_pattern(completion: str) -> Score:
    """open-r1: the pattern takes empty tags, and `match` takes what follows them."""
    return float(bool(re.match(r"<think>.*?</think>\s*<answer>.*?</answer>", completion, re.DOTALL)))


def in_either_way(completion: str, reference: str) -> Score:
    """Visual-RFT: `answer in truth or truth in answer`."""
    said = completion.strip()
    return float(said in reference or reference in said)


def return_code(task: Task, completion: Completion) -> Score:
    """SkyRL and others: return code 0 is success, and sys.exit(0) comes before the tests."""
    tests = "\n".join(task.columns["asserts"])
    try:
        return float(_run(f"{program_of(completion.text)}\n{tests}\n").returncode == 0)
    except subprocess.TimeoutExpired:
        return 0.0


_TESTER = """
import sys
space = {{}}
try:
    exec({program!r}, space)
    for line in {tests!r}:
        exec(line, space)
except BaseException:
    sys.exit(1)
print("passed")
"""


def same_process(task: Task, completion: Completion) -> Score:
    """HumanEval's own manner: exec-and-catch, the results compared where the program made them."""
    tester = _TESTER.format(program=program_of(completion.text), tests=list(task.columns["asserts"]))
    try:
        return float(_run(tester).stdout == "passed\n")
    except subprocess.TimeoutExpired:
        return 0.0


def nothing_forbidden(completion: str) -> Score:
    """IFEval: five of twenty-five instructions are followed by saying nothing."""
    return float("," not in completion and len(completion.split()) <= 50 and completion == completion.lower())


# ------------------------------------------------------------------------------------------- tasks


def _tasks(*pairs: tuple[str, str], **columns: Any) -> tuple[Task, ...]:
    return tuple(
        Task(str(place), ({"role": "user", "content": prompt},), reference, columns)
        for place, (prompt, reference) in enumerate(pairs)
    )


NUMBERS = _tasks(
    *((f"What is {a} plus {b}?", str(a + b)) for a, b in ((12, 30), (7, 9), (55, 6), (81, 90), (3, 8), (401, 32)))
)
LETTERS = _tasks(*((f"Solve {k}x = {k * v} for x.", f"x={v}") for k, v in ((2, 5), (3, 7), (4, 12), (5, 31), (6, 44))))
WORDS = _tasks(
    ("Which city has the Bosphorus?", "Constantinople"), ("Where is the Acropolis?", "Athens"),
    ("Where is the Louvre?", "Paris"), ("Which city is called the eternal one?", "Rome"),
    ("Where is the Kremlin?", "Moscow in Russia"), ("Where is Table Mountain?", "Cape Town, South Africa"),
)  # fmt: skip
HALTING = _tasks(*((f"Does the pattern number {k} halt?", ("True", "False")[k % 2]) for k in range(6)))
GAMES = _tasks(
    ("Make 24 with 3, 3, 8, 8.", "8/(3-8/3)"), ("Make 24 with 1, 2, 3, 4.", "1*2*3*4"),
    ("Make 24 with 4, 6, 1, 1.", "4*6*1*1"), ("Make 24 with 5, 5, 5, 1.", "5*(5-1/5)"),
    ("Make 24 with 6, 6, 6, 6.", "6+6+6+6"), ("Make 24 with 2, 3, 4, 1.", "2*3*4*1"),
)  # fmt: skip
INTEGRALS = _tasks(
    ("Find the indefinite integral: \u222b 2*x dx", "x**2 + C"),
    ("Find the indefinite integral: \u222b 3*x**2 dx", "x**3 + C"),
    ("Find the indefinite integral: \u222b 4*x**3 dx", "x**4 + C"),
    ("Find the indefinite integral: \u222b 6*x dx", "3*x**2 + C"),
)  # fmt: skip
POLYNOMIALS = _tasks(
    ("Expand (x+1)(x+2).", "x**2+3*x+2"), ("Expand (x-1)(x+1).", "x**2-1"), ("Expand x(x+4).", "x**2+4*x"),
    ("Expand (x+3)(x+3).", "x**2+6*x+9"),
)  # fmt: skip
FACTORS = _tasks(
    *(
        (f"Factor {math.prod(f)} into primes.", " \u00d7 ".join(map(str, f)))
        for f in ((2, 3, 7), (2, 2, 5), (3, 11), (2, 13))
    )
)
BOARDS = _tasks(
    *(
        (f"Place {len(b)} queens.", str(b))
        for b in ([["Q", "_"], ["_", "_"]], [["_", "Q"], ["_", "_"]], [["_", "_"], ["Q", "_"]])
    )
)
UNITS = _tasks(
    *(
        (f"How long is rod {k}?", f"{v} {u}")
        for k, (v, u) in enumerate(((5, "cm"), (12, "km"), (7, "kg"), (40, "minutes")))
    )
)
PAIRS = _tasks(
    ("Give the point.", "(1,2)"), ("Give the solutions.", r"\{3,5\}"),
    ("Give the point.", "(4,7)"), ("Give the solutions.", r"\{1,9,2\}"),
)  # fmt: skip
SMALL = _tasks(*((f"What is {v}?", v) for v in ("0.0000001", "0.0000003", "0.00000002", "0.0000005")))
BIG = _tasks(
    *(
        (f"What is {v}?", v)
        for v in ("10000000000000001", "90071992547409931", "123456789012345678", "10000000000000061")
    )
)
PIS = _tasks(*((f"What is the area of circle {k}?", rf"{k}\pi") for k in (2, 3, 5, 7)))
_PRINTER = "n = int(input())\nfor k in range(n):\n    print(k * {0})\n"
PRINTERS = tuple(
    Task(
        str(m), ({"role": "user", "content": f"Read n. Print the first n multiples of {m} from 0 on, one a line."},),
        _PRINTER.format(m),
        {"io": [{"stdin": f"{n}\n", "stdout": "".join(f"{k * m}\n" for k in range(n))} for n in (2, 4)]},
    )
    for m in (3, 5)
)  # fmt: skip
FUNCTIONS = tuple(
    Task(
        str(m), ({"role": "user", "content": f"Write a function scale(x) that gives {m} times x."},),
        f"def scale(x):\n    product = {m} * x\n    return product\n",
        {"asserts": [f"assert scale(2) == {2 * m}", f"assert scale(-1) == {-m}"]},
    )
    for m in (3, 5)
)  # fmt: skip
SHORT = _tasks(
    ("Say hello without commas, in lower case.", "hello there"), ("Name a colour in lower case.", "dark green")
)
TAGGED = _tasks(("What is 2+2?", "4"), ("What is 3+3?", "6"), ("What is 3+5?", "8"))

_GENTLE = ("resource",)  # rewards that run their answers are not given towers of powers


@dataclass(frozen=True)
class Defect:
    """A reward, tasks for it, and what has to find the defect."""

    number: int  # in the order of the list they were collected in
    reward: str
    tasks: tuple[Task, ...]
    found_by: tuple[str, ...]  # probes or checks, all of which have to be violated
    what: str = ""  # ran_code, fault, accepted, refused, check; empty: any
    options: Options = field(default_factory=Options)


def _options(**changes: Any) -> Options:
    return Options(**{"calls": 700, "lanes": 1, "shrink_calls": 0, "examples": 1, **changes})


_PLAIN = _options()
_CODE = {"kind": "code", "seconds": 10.0, "memory_mb": 0}
_SYMPY = {"seconds": 10.0, "leave_out": _GENTLE, "kind": "math"}
_ECHO = _options(**_SYMPY, probes=("operator_echo", "empty", "refusal"))
_OR = _options(**_SYMPY, probes=("right_or_wrong", "wrong_or_right", "empty"))

DEFECTS = (
    Defect(1, "truthy_halting", HALTING, ("refusal", "punctuation", "shuffled_references"), options=_PLAIN),
    Defect(
        2,
        "any_numbers_make_24",
        GAMES,
        ("shuffled_references",),
        options=_options(kind="math"),
    ),
    Defect(
        3,
        "derivative_only",
        INTEGRALS,
        ("operator_echo",),
        "accepted",
        _ECHO,
    ),
    Defect(
        4,
        "difference_is_constant",
        INTEGRALS,
        ("operator_echo",),
        "accepted",
        _ECHO,
    ),
    Defect(
        5,
        "python_or",
        POLYNOMIALS,
        ("right_or_wrong",),
        "accepted",
        _OR,
    ),
    Defect(6, "product_of_factors", FACTORS, ("not_a_number",), "fault", _PLAIN),
    Defect(
        7,
        "parsed_24",
        GAMES,
        ("sympy_expression",),
        "ran_code",
        _options(**_SYMPY, probes=("injection", "empty")),
    ),
    Defect(8, "evaluated_board", BOARDS, ("container_literal",), "ran_code", _options(leave_out=_GENTLE, kind="math")),
    Defect(9, "share_of_length", WORDS, ("partial_pay", "right_or_wrong"), options=_options(kind="text")),
    Defect(10, "computes_operators", NUMBERS, ("unevaluated_operator",), "accepted", _PLAIN),
    Defect(11, "negated_box", NUMBERS, ("negated",), "accepted", _PLAIN),
    Defect(12, "without_units", UNITS, ("wrong_unit",), "accepted", _options(kind="math")),
    Defect(13, "tuple_is_set", PAIRS, ("tuple_as_set", "set_as_tuple"), "accepted", _PLAIN),
    Defect(14, "close_enough", SMALL, ("small_number_doubled",), "accepted", _PLAIN),
    Defect(15, "alarmed", NUMBERS, ("thread",), options=_PLAIN),
    Defect(16, "percent_either_way", NUMBERS, ("times_hundred", "over_hundred"), "accepted", _PLAIN),
    Defect(17, "through_float", BIG, ("big_integer",), "accepted", _PLAIN),
    Defect(18, "evaluates_pi", PIS, ("latex_expression",), "ran_code", _options(leave_out=_GENTLE)),
    Defect(19, "arguments_exchanged", LETTERS, ("argument_order",), options=_PLAIN),
    Defect(
        20,
        "zipped_lines",
        PRINTERS,
        ("first_line_only",),
        "accepted",
        _options(**_CODE, probes=("first_line_only", "nothing_printed", "code_broken")),
    ),
    Defect(21, "tags_by_pattern", TAGGED, ("tags_only",), "accepted", _options(uses_reference=False)),
    Defect(22, "in_either_way", WORDS, ("empty", "piece_of_right", "right_among_much"), "accepted", _PLAIN),
    Defect(
        23, "return_code", FUNCTIONS, ("exit_code",), "accepted", _options(**_CODE, probes=("exit_code", "code_broken"))
    ),
    Defect(
        24,
        "same_process",
        FUNCTIONS,
        ("equal_to_all",),
        "accepted",
        _options(**_CODE, probes=("equal_to_all", "exit_code")),
    ),
    Defect(25, "nothing_forbidden", SHORT, ("empty",), "accepted", _options(uses_reference=False)),
)
