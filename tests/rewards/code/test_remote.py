"""What tests can do with things of the program: arguments, classes, iterators, callbacks, exceptions."""

import pytest

from sibling.rewards.code.reward import Code


def passes(code: Code, program: str, *asserts: str) -> str:
    return code.grade_row({"completion": program, "asserts": list(asserts)}).code


def test_arguments_changed_in_place(code: Code) -> None:
    program = (
        "def f(a, d, s):\n    a.sort()\n    d['k'] = a\n    s.discard(1)\ndef g(a):\n    a.append(1)\n    return a\n"
    )
    setup = "a, d, s = [3, 1], {}, {1, 2}\nf(a, d, s)\nassert a == [1, 3] and d == {'k': [1, 3]} and s == {2}"
    assert passes(code, program, setup, "b = []\nassert g(b) is b and b == [1]") == "passed"


STACK = """
class Stack:
    limit = 3
    def __init__(self, items=()):
        self.items = list(items)
    def push(self, item):
        if len(self.items) == self.limit:
            raise FullError('full', 3)
        self.items.append(item)
        return self
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, i): return self.items[i]
    def __contains__(self, x): return x in self.items
    def __eq__(self, other): return isinstance(other, Stack) and self.items == other.items
    def __add__(self, other): return Stack(self.items + list(other))
    def __repr__(self): return f'Stack({self.items})'
    def __enter__(self): return self
    def __exit__(self, *error): self.items.clear(); return True
    @property
    def top(self): return self.items[-1]
class FullError(ValueError):
    def __init__(self, text, limit):
        super().__init__(text)
        self.limit = limit
"""


def test_classes(code: Code) -> None:
    asserts = (
        "s = Stack([1])\ns.push(2).push(3)\nassert len(s) == 3 and list(s) == [1, 2, 3] and s[0] == 1 and s.top == 3",
        "assert Stack([1]) == Stack([1]) and Stack([1]) != Stack([2]) and not (Stack([1]) == Stack([2]))",
        "assert isinstance(Stack(), Stack) and not isinstance(3, Stack) and Stack.limit == 3 and not Stack()",
        "assert 2 in Stack([1, 2]) and 3 not in Stack([1]) and repr(Stack([1])) == 'Stack([1])'",
        "assert Stack([1]) + [2] == Stack([1, 2])",
        "s = Stack()\ns.items = [7]\nassert s.top == 7 and sorted(s) == [7]",
        "with Stack([1]) as s:\n    assert s.top == 1\n    raise KeyError\nassert len(s) == 0",
        "try:\n    Stack([1, 2, 3]).push(4)\nexcept FullError as e:\n    assert str(e) == 'full' and e.limit == 3\n"
        "else:\n    raise AssertionError",
        "try:\n    Stack([1, 2, 3]).push(4)\nexcept ValueError as e:\n    pass",
    )
    assert passes(code, STACK, *asserts) == "passed"
    assert passes(code, STACK.replace("self.items == other.items", "False"), *asserts) == "failed_test"


@pytest.mark.parametrize(
    "statement",
    [
        "assert abs(f() - 3) < 1e-6",
        "assert 3 - f() == 0",
        "assert f() == 3",
        "assert [f()] == [3]",
        "assert f() < 5",
        "assert 5 > f()",
        "assert f() in (3, 4)",
        "assert f() in {3: 1}",
        "assert 3 in f()",
        "assert math.isclose(f(), 3)",
        "assert isinstance(f(), int)",
        "assert not (f() != 3)",
        "assert int(f()) == 3",
        "assert round(f()) == 3",
        "assert divmod(f(), 2) == (1, 1)",
    ],
)
def test_an_object_cannot_compute_or_compare_with_data(code: Code, statement: str) -> None:
    program = """
class Any:
    def __eq__(self, o): return True
    def __ne__(self, o): return False
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    def __hash__(self): return hash(3)
    def __sub__(self, o): return 0
    def __rsub__(self, o): return 0
    __abs__ = __int__ = __index__ = lambda self: 3
    __round__ = lambda self, n=None: 3
    __float__ = lambda self: 3.0
    __divmod__ = lambda self, o: (1, 1)
    def __iter__(self): return iter([Any()])
    __class__ = int
def f(): return Any()
"""
    assert passes(code, program, statement) in ("failed_test", "exception")
    assert passes(code, "def f(): return 3", statement.replace("3 in f()", "f()")) == "passed"


def test_iterators_are_read_as_they_go(code: Code) -> None:
    program = (
        "def naturals():\n    n = 0\n    while True:\n        yield n\n"
        "        n += 1\ndef pair():\n    return map(str, [1, 2])\n"
    )
    asserts = (
        "import itertools\nassert list(itertools.islice(naturals(), 4)) == [0, 1, 2, 3]",
        "n = naturals()\nassert next(n) == 0 and next(n) == 1",
        "assert list(pair()) == ['1', '2']",
        "p = pair()\nnext(p), next(p)\ntry:\n    next(p)\n"
        "except StopIteration:\n    pass\nelse:\n    raise AssertionError",
    )
    assert passes(code, program, *asserts) == "passed"


def test_functions_of_the_tests_can_be_called_by_the_program(code: Code) -> None:
    program = (
        "def twice(f, x): return f(f(x))\ndef safe(f):\n    try:\n        return f()\n    except Exception as e:\n"
        "        return type(e).__name__\ndef add(n):\n    return lambda x: x + n\ndef memo(f):\n    return f\n"
    )
    asserts = (
        "assert twice(lambda x: x + 1, 3) == 5 and twice(str.upper, 'a') == 'A'",
        "def bad():\n    raise ValueError('x')\nassert safe(bad) == 'ValueError'",
        "assert add(2)(3) == 5 and memo(abs)(-1) == 1",
    )
    assert passes(code, program, *asserts) == "passed"


def test_an_assertion_in_a_callback_cannot_be_swallowed(code: Code) -> None:
    asserts = "def seen(x):\n    assert x == 1\nsafe(seen)"
    program = "def safe(f):\n    try:\n        f(2)\n    except BaseException:\n        pass\n"
    assert passes(code, program, asserts) == "failed_test"
    assert passes(code, program.replace("2", "1"), asserts) == "passed"


def test_exceptions_cross_by_their_names(code: Code) -> None:
    program = "import json\ndef f(x):\n    return json.loads(x)['a'][5]\n"
    asserts = (
        "import json\ntry:\n    f('x')\nexcept json.JSONDecodeError:\n    pass\nelse:\n    raise AssertionError",
        "try:\n    f('{}')\nexcept KeyError as e:\n    assert e.args == ('a',)\nelse:\n    raise AssertionError",
        "try:\n    f('{\"a\": []}')\nexcept IndexError:\n    pass\nelse:\n    raise AssertionError",
    )
    assert passes(code, program, *asserts) == "passed"


def test_an_iterator_cannot_be_ended_from_inside_a_function(code: Code) -> None:
    statement = "assert all(map(lambda x: f(x) == x, [1, 2])) and [f(x) for x in (1,)] == [1]"
    assert passes(code, "def f(x): raise StopIteration", statement) == "exception"
    assert passes(code, "def f(x): return x", statement) == "passed"


def test_builtins_and_modules_of_the_tests_are_their_own(code: Code) -> None:
    program = (
        "def f(x): return 0\ndef abs(x): return 0\ndef len(x): return 3\nclass math:\n    isclose = lambda *a: True\n"
    )
    assert passes(code, program, "assert abs(f(1)) == 0 and len([f(1)]) == 3") == "failed_test"
    assert passes(code, program, "assert math.isclose(f(1), 9)") == "failed_test"


def test_coroutines(code: Code) -> None:
    program = "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1\n"
    assert passes(code, program, "import asyncio\nassert asyncio.run(f(1)) == 2") == "passed"


def test_named_tuples_and_enums(code: Code) -> None:
    program = (
        "import enum, collections\nP = collections.namedtuple('P', 'x y')\nclass C(enum.Enum):\n"
        "    A = 1\n    B = 2\ndef p(): return P(1, 2)\ndef c(): return C.A\n"
    )
    asserts = (
        "assert p() == (1, 2) and p().x == 1",
        "assert c() == C.A and c() is C.A and c() != C.B and C.A.value == 1",
    )
    assert passes(code, program, *asserts) == "passed"
