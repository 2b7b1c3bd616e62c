import importlib
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import summary

from sibling.config import Recipe, parse_recipe
from sibling.errors import RequestError
from sibling.report.trackers import TrackerObserver, open_trackers
from sibling.stats import StepStats


def recipe(folder: Path, *use: str) -> Recipe:
    return parse_recipe(
        {
            "name": "tracked",
            "run_dir": str(folder / "run"),
            "steps": 2,
            "task": {"type": "largest_number"},
            "rewards": [{"type": "final_number"}],
            "trackers": {"use": list(use)},
        }
    )


def events(file: Path) -> Iterator[Any]:
    """The events of a TensorBoard file: length, checksum, bytes, checksum."""
    event = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
    data = file.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def test_tensorboard_gets_every_number_at_its_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tracker,) = open_trackers(recipe(tmp_path, "tensorboard"))
    assert not (tmp_path / "run").exists()  # nothing is written before the run has something to tell
    tracker.evaluated("before", summary(0, 60))
    for step in (1, 2):
        tracker.step(StepStats(step, {"reward_mean": step / 4, "entropy": 1.5}), 2, None, ())
    tracker.close()
    tracker.close()
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    seen = {(e.step, v.tag): v.simple_value for e in events(file) for v in e.summary.value}
    assert seen[1, "reward_mean"] == 0.25
    assert seen[2, "reward_mean"] == 0.5
    assert seen[2, "entropy"] == 1.5
    assert seen[0, "evaluation/greedy_accuracy"] == pytest.approx(0.04)
    assert (0, "evaluation/greedy_interval") not in seen


def test_trackers_do_not_bring_in_torch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\nfrom sibling.config import load_recipe\n"
        "from sibling.report.trackers import open_trackers\nfrom sibling.stats import StepStats\n"
        "tracker, = open_trackers(load_recipe(Path('recipes/tiny.yaml'),"
        f" ['run_dir={tmp_path}', 'trackers.use=[tensorboard]']))\n"
        "tracker.step(StepStats(1, {'reward_mean': 1.0}), 1, None, ()); tracker.close()\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
    assert any((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("name", ["trackio", "wandb", "mlflow", "tensorboard"])
def test_a_missing_tracker_is_named_with_its_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name, *(m for m in sys.modules if m.startswith(name + "."))]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RequestError, match=f"pip install {name}"):
        open_trackers(recipe(tmp_path, name))


def test_no_tracker_is_imported_unless_asked_for(tmp_path: Path) -> None:
    before = set(sys.modules)
    assert open_trackers(recipe(tmp_path)) == []
    assert not {m.split(".")[0] for m in set(sys.modules) - before} & {"trackio", "wandb", "mlflow", "tensorboard"}


FAKE = """
told = []
def init(**settings):
    told.append(("init", settings["project"], settings["name"]))
    return Run()
class Run:
    def log(self, values, step): told.append((step, values))
    def finish(self): told.append("end")
def log(values, step): told.append((step, values))
def finish(): told.append("end")
def set_experiment(name): told.append(("project", name))
def start_run(run_name): told.append(("run", run_name))
def log_dict(values, file): told.append(file)
def log_metrics(values, step): told.append((step, values))
def end_run(): told.append("end")
"""


@pytest.mark.parametrize("name", ["trackio", "wandb", "mlflow"])
def test_other_trackers_are_called_as_their_packages_ask(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a package that has the functions used and keeps what it is told; the real ones are not installed here."""
    (tmp_path / f"{name}.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    (tracker,) = open_trackers(recipe(tmp_path, name))
    assert isinstance(tracker, TrackerObserver)
    tracker.step(StepStats(3, {"reward_mean": 0.5}), 4, None, ())
    tracker.close()
    told = sys.modules[name].told
    monkeypatch.delitem(sys.modules, name)
    assert told[-2:] == [(3, {"reward_mean": 0.5}), "end"]
    assert any("tracked" in t for t in told if isinstance(t, tuple))
