"""Code in an answer is text: nothing of it ever runs, in our process or in a child."""

from pathlib import Path
from typing import Any

import pytest

from sibling.batch import Status

CODE = [
    "__import__('os').system('touch {path}')",
    "open('{path}','w').write('7')",
    "exec(\"open('{path}','w')\")",
    "eval(\"open('{path}','w')\")",
    "(lambda: open('{path}','w'))()",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "sympify(\"open('{path}','w')\")",
    "\\pi; __import__('pathlib').Path('{path}').touch()",
    "\\text{{__import__('pathlib').Path('{path}').touch()}}",
    "\\frac{{open('{path}','w')}}{{1}}",
    "$(touch {path})",
    "`touch {path}`",
    "x; import os; os.system('touch {path}')",
    "{{{{ open('{path}','w') }}}}",
    "\\write18{{touch {path}}}",
    "\\input{{{path}}}",
    "x.__class__",
    "Function('f')(x)",
    "Symbol('x').subs(x, open('{path}','w'))",
]


@pytest.mark.parametrize("template", CODE)
@pytest.mark.parametrize("options", [{}, {"second_opinion": "math_verify"}], ids=["alone", "opinion"])
def test_nothing_runs(template: str, options: dict[str, Any], tmp_path: Path, judging: Any) -> None:
    wire = tmp_path / "wire"
    code = template.format(path=wire)
    for text in (code, f"\\boxed{{{code}}}", f"The answer is {code}", f"#### {code}"):
        for reference in ("42", "x+1", r"\text{even}", "(1,2)"):
            assert judging(reference, text, **options).status is Status.wrong
    judging(code, "\\boxed{42}", **options)
    judging(code, f"\\boxed{{{code}}}", **options)
    assert not wire.exists()


def test_no_module_of_the_package_evaluates_text() -> None:
    import sibling.rewards.math as package

    for path in Path(package.__path__[0]).glob("*.py"):
        source = path.read_text(encoding="utf-8")
        for word in ("eval(", "exec(", "parse_expr", "sympify(", "pickle", "subprocess", "literal_eval", "lambdify"):
            assert word not in source, f"{word} in {path.name}"
