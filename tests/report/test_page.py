import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from recorded import Recorded, make_run

from sibling.errors import RecordError, RunError
from sibling.report.page import write_report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e"
VOID = {"meta", "br", "img", "link", "input"}


class Structure(HTMLParser):
    """Tags as a browser sees them; complains when they do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def structure(page: Path) -> Structure:
    parser = Structure()
    parser.feed(page.read_text(encoding="utf-8"))
    assert parser.open == []
    return parser


def test_the_sections_come_in_order(tmp_path: Path) -> None:
    page = structure(write_report(make_run(tmp_path / "run")))
    assert page.headings == [
        "Before and after",
        "Curves",
        "Length by outcome",
        "Siblings",
        "Findings",
        "Account",
        "Objective",
        "Environment",
        "Configuration",
    ]


def test_the_page_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path / "run"))
    page = structure(path)
    assert not {"link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not [a for a in page.attributes if a[0] in ("src", "href", "style") or a[0].startswith("on")]
    assert "http://" not in path.read_text() and "https://" not in path.read_text()


def test_the_content_policy_allows_this_style_and_this_script_alone(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path / "run")).read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    for tag in ("style", "script"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in text


def test_text_of_the_run_cannot_become_markup(tmp_path: Path) -> None:
    finding = {"code": HOSTILE, "severity": "warning", "step": None, "sentence": HOSTILE, "advice": HOSTILE}
    what = Recorded(steps=6, planned=6, hostile=HOSTILE, rewards=(HOSTILE, "b"), findings=[finding])
    folder = make_run(tmp_path / "run", what)
    (folder / "recipe.yaml").write_text(HOSTILE)
    path = write_report(folder)
    page, text = structure(path), path.read_text(encoding="utf-8")
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert "\x1b" not in text and "\u202e" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_writing_twice_gives_the_same_bytes_and_leaves_nothing_aside(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert [p.name for p in folder.iterdir() if "report" in p.name] == ["report.html"]


@pytest.mark.parametrize(
    "what",
    [
        Recorded(steps=0, planned=9, close=False, evaluations=False),
        Recorded(steps=1, planned=1),
        Recorded(steps=1, planned=1, evaluations=False),
        Recorded(steps=5, planned=9, close=False),
        Recorded(steps=3, planned=3, leave_out=frozenset({"live_groups", "accuracy", "reward_mean"})),
    ],
    ids=["no step", "one step", "no evaluation", "unfinished", "statistics missing"],
)
def test_incomplete_runs_have_a_report(tmp_path: Path, what: Recorded) -> None:
    page = structure(write_report(make_run(tmp_path / "run", what)))
    assert "Before and after" in page.headings
    text = (tmp_path / "run" / "report.html").read_text()
    assert "nan" not in re.sub(r"<script>.*", "", text, flags=re.DOTALL).lower().replace("finance", "")


def test_groups_whose_samples_are_gone_are_passed_over(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    shutil.rmtree(folder / "samples")
    assert "No live group is on record" in write_report(folder).read_text(encoding="utf-8")


def test_long_completions_fold_away(tmp_path: Path) -> None:
    what = Recorded(steps=6, planned=6, hostile="word " * 400)
    text = write_report(make_run(tmp_path / "run", what)).read_text(encoding="utf-8")
    assert re.search(r"<summary>1,\d\d\d more characters</summary>", text)


def test_a_value_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(compare=False))
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "compare.json").write_text(json.dumps({"greedy": {"before": "high", "after": 1}}))
    with pytest.raises(RecordError, match="sibling verify"):
        write_report(folder)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Recorded(steps=1, planned=1))
    (folder / "report.html").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        write_report(folder)
