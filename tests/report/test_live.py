import io

from recorded import Recorded, rows_of, stats_of, summary
from rich.console import Console

from sibling.report.live import Display, LiveDisplay, PlainDisplay, choose_display
from sibling.stats import StepStats


class Utf8(io.StringIO):
    encoding = "utf-8"


class Ascii(io.StringIO):
    encoding = "ascii"


def console(file: io.StringIO, *, terminal: bool, width: int = 80) -> Console:
    environment = {"TERM": "xterm"}
    return Console(file=file, force_terminal=terminal, width=width, height=30, _environ=environment, color_system=None)


def play(display: Display, steps: int = 3) -> None:
    what = Recorded(steps=60, planned=60, hostile="\x1b]0;title\x07")
    display.phase("load", "tiny")
    display.evaluated("before", summary(0, 60))
    for step in range(20, 20 + steps):
        display.phase("sample", f"step {step}")
        display.progress("sample", 8, 24, 64)
        prompts, rows = rows_of(step, what)
        stats, wall = stats_of(step, rows, what)
        display.step(StepStats(step, stats | wall), 60, prompts[0], [r for r in rows if r.prompt == 0])
    display.phase("save", "model")
    display.finding("truncation", "warning", "Many are truncated.", "Raise sampling.max_tokens.")
    display.evaluated("after", summary(60, 60))
    display.closed({})
    display.close()


def test_the_plain_display_prints_one_line_a_step() -> None:
    file = Utf8()
    play(PlainDisplay(console(file, terminal=False)))
    lines = file.getvalue().splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    assert [line.split()[1] for line in steps] == ["20/60", "21/60", "22/60"]
    for words in ("reward ", "accuracy ", "length ", "entropy ", "groups ", "sampled ", "trained ", "left "):
        assert words in steps[0], words
    assert lines[0] == "loading the model  tiny"
    assert "warning: Many are truncated. Raise sampling.max_tokens." in lines
    assert lines[-1] == "done  22 steps"
    assert "\x1b" not in file.getvalue()


def test_a_phase_is_told_once_and_only_before_the_first_step() -> None:
    file = Utf8()
    play(PlainDisplay(console(file, terminal=False)))
    assert [line for line in file.getvalue().splitlines() if line.startswith("sampling")] == ["sampling  step 20"]
    assert "saving" not in file.getvalue()


def test_the_plain_display_is_flushed_line_by_line() -> None:
    class Flushed(Utf8):
        seen = ""

        def flush(self) -> None:
            self.seen = self.getvalue()

    file = Flushed()
    display = PlainDisplay(console(file, terminal=False))
    display.show_step(StepStats(1, {"reward_mean": 0.5}), 2, None)
    assert file.seen == "step 1/2  reward 0.50\n"


def test_the_plain_display_writes_ascii_where_it_must() -> None:
    file = Ascii()
    display = PlainDisplay(console(file, terminal=False))
    display.finding("x", "notice", "1 語\nnext", "now")
    display.show_step(StepStats(1, {"accuracy": 0.5, "reward_mean": -1.0}), 2, None)
    assert file.getvalue() == "notice: 1 ? | next now\nstep 1/2  reward -1.00  accuracy 50 %\n"


def test_the_live_display_draws_and_gives_the_terminal_back() -> None:
    file = Utf8()
    display = LiveDisplay(console(file, terminal=True), "largest-number")
    play(display)
    text = file.getvalue()
    assert "step 22 of 60" in text and "largest-number" in text
    assert "warning: Many are truncated." in text
    assert "evaluation after: greedy accuracy" in text
    assert "\x1b]0;" not in text and "\x07" not in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is shown again
    display.close()


def test_a_failure_while_drawing_is_shown_small() -> None:
    file = Utf8()
    display = LiveDisplay(console(file, terminal=True))
    display.phase("sample")
    display.screen.stats = "not statistics"  # type: ignore[assignment]  # what no run would do
    display.close()
    assert "the display failed: AttributeError" in file.getvalue()


def test_the_display_fits_where_it_is_shown() -> None:
    assert isinstance(choose_display(console(Utf8(), terminal=True)), LiveDisplay)
    assert isinstance(choose_display(console(Utf8(), terminal=False)), PlainDisplay)
    assert isinstance(choose_display(console(Ascii(), terminal=True)), PlainDisplay)
    dumb = Console(file=Utf8(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(choose_display(dumb), PlainDisplay)
