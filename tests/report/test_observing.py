import pytest

from sibling.report.observing import BaseObserver, Observers
from sibling.stats import StepStats


class Kept(BaseObserver):
    def __init__(self) -> None:
        self.told: list[str] = []

    def phase(self, name: str, detail: str = "") -> None:
        self.told.append(name)

    def close(self) -> None:
        self.told.append("close")


class Failing(Kept):
    def phase(self, name: str, detail: str = "") -> None:
        raise RuntimeError("no terminal")


def test_one_that_fails_is_named_closed_and_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Kept(), Failing()
    with Observers(bad, good) as observers:
        observers.phase("sample")
        observers.phase("learn")
    assert good.told == ["sample", "learn", "close"]
    assert bad.told == ["close"]
    told = capsys.readouterr().err
    assert told.count("Failing failed") == 1
    assert "RuntimeError: no terminal" in told


def test_all_are_closed_after_an_error_too() -> None:
    good = Kept()
    with pytest.raises(KeyboardInterrupt), Observers(good):
        raise KeyboardInterrupt
    assert good.told == ["close"]


def test_every_call_reaches_every_observer() -> None:
    class Counting(BaseObserver):
        calls = 0

        def __getattribute__(self, name: str) -> object:
            if name in vars(BaseObserver) and not name.startswith("_"):
                Counting.calls += 1
            return super().__getattribute__(name)

    observers = Observers(Counting(), Counting())
    observers.phase("sample")
    observers.progress("sample", 1, 2, 3)
    observers.step(StepStats(1, {}), 2, None, ())
    observers.finding("code", "notice", "sentence", "advice")
    observers.evaluated("before", {})
    observers.closed({})
    observers.close()
    assert Counting.calls == 14
