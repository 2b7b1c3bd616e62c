"""Measure speed and memory against the peers, in turn, and write the page: `make bench`.

    python benchmarks/speed/run.py                      everything
    python benchmarks/speed/run.py --only sampling,step some parts; the others stay as they were measured before
    python benchmarks/speed/run.py --quick              a try that everything works, in minutes; its figures say little
    python benchmarks/speed/run.py --render             measure nothing, write the page from the results

Parts: roofline, step (whole step, update and memory, against TRL), sampling (against vLLM and transformers), growth,
sharing, record, profile, curves (learning curves against TRL; the longest). Results are kept in
`benchmarks/results.json` after each part. Run it on a machine that does nothing else: the share of it that others used
is written beside the figures.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:  # the package is not installed; this file is started by its path
    sys.path.insert(0, str(HERE.parent))

PARTS = ("roofline", "step", "sampling", "growth", "sharing", "record", "profile", "curves")


def measure(name: str, bench: Any, options: argparse.Namespace) -> dict[str, Any]:
    """One part."""
    from speed import case_growth, case_limits, case_record, case_sampling, case_step, curves

    def learning(bench: Any) -> dict[str, Any]:
        return curves.run(bench, steps=options.steps, seeds=options.seeds)

    cases = {
        "roofline": case_limits.roofline,
        "step": case_step.run,
        "sampling": case_sampling.run,
        "growth": case_growth.growth,
        "sharing": case_growth.sharing,
        "record": case_record.run,
        "profile": case_limits.profile,
        "curves": learning,
    }
    return cases[name](bench)


def environment(bench: Any, names: list[str]) -> dict[str, Any]:
    """The machine and the versions of every side."""
    from sibling.record.environment import environment_manifest

    peers = {name: bench.peer(name) for name in names}
    return {
        **environment_manifest(),
        "kernel": platform.release(),
        "peers": {name: {"versions": p.versions, "problem": p.problem} for name, p in peers.items()},
    }


def write(results: Path, page: Path, images: Path) -> None:
    """The page and the charts, from the results alone."""
    from speed.chart import charts
    from speed.page import render
    from speed.results import load

    found = load(results)
    page.write_text(render(found), encoding="utf-8")
    images.mkdir(parents=True, exist_ok=True)
    for name, text in charts(found).items():
        (images / name).write_text(text, encoding="utf-8")
    print(f"{results} and {page} are written")


def _places(options: argparse.Namespace) -> None:
    """Where everything is written: a quick try must not replace real results."""
    trial = HERE.parents[1] / "runs" / "bench"
    options.results = options.results or (trial if options.quick else HERE.parent) / "results.json"
    options.page = options.page or options.results.parent / "RESULTS.md"
    options.images = options.images or (trial if options.quick else HERE.parents[1] / "docs" / "images")
    options.results.parent.mkdir(parents=True, exist_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Parse, measure, write. 1 when a part failed."""
    from speed.bench import Bench
    from speed.results import merge
    from speed.workers import WorkerError

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes and one round: does everything work?")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds, after one to warm up")
    parser.add_argument("--steps", type=int, default=30, help="steps of a learning curve")
    parser.add_argument("--seeds", type=int, default=2, help="learning curves of each side")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, help="default: benchmarks/results.json; runs/bench/ for a quick try")
    parser.add_argument("--page", type=Path, help="default: RESULTS.md beside the results")
    parser.add_argument("--images", type=Path, help="where charts go; default: docs/images, or beside quick results")
    options = parser.parse_args(arguments)
    wanted = [name for name in PARTS if name in options.only.split(",")]
    unknown = sorted(set(options.only.split(",")) - set(PARTS))
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    _places(options)
    failed = 0
    if not options.render:
        from sibling.models import embedded

        bench = Bench(str(embedded.ensure()[0]), 1 if options.quick else options.rounds, options.quick)
        merge(options.results, "environment", environment(bench, ["sibling", "trl", "vllm"]), quick=options.quick)
        for name in wanted:
            began = time.monotonic()
            print(f"{name} ...", flush=True)
            try:
                merge(options.results, name, measure(name, bench, options), quick=options.quick)
            except Exception as error:  # the parts after it are measured all the same
                failed += 1
                if not isinstance(error, WorkerError):
                    traceback.print_exc()
                print(f"  {name} could not be measured: {error}", file=sys.stderr)
                merge(options.results, name, {"problem": str(error)}, quick=options.quick)
            print(f"  {name}: {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    write(options.results, options.page, options.images)
    return 1 if failed else 0


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # so that the workers are ended too
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; the parts measured so far are kept", file=sys.stderr)
        sys.exit(130)
