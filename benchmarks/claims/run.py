"""Measure what papers claim and write the page: `python benchmarks/claims/run.py` (or `make claims`).

Every run is one (claim, arm, seed). What a run found is kept in a folder, so that a call that was stopped goes on
where it was, unless settings or code changed meanwhile; `--fresh` measures again. At the end `results.json` beside
this file and the page with its figures are written. Runs use one thread each, `--workers` of them at a time; those
that measure time or memory go last, alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:  # the package is not installed; this file is started by its path
    sys.path.insert(0, str(HERE.parent))

Job = tuple[str, str, int]


def measure(folder: Path, job: Job) -> tuple[Job, float]:
    """One run, in whatever process this is; its processor seconds."""
    from claims.harness import cpu_seconds, one_thread
    from claims.registry import CLAIMS
    from claims.store import save_unit

    key, arm, seed = job
    with one_thread():
        start = cpu_seconds()
        values = CLAIMS[key].measure(arm, seed)
        seconds = float(values.pop("cpu_seconds", cpu_seconds() - start))
    save_unit(folder, CLAIMS[key], arm, seed, values, seconds)
    return job, seconds


def measure_all(folder: Path, keys: list[str], seeds: int, workers: int) -> None:
    """Every run of these claims that is not in the folder yet, with a line for each."""
    from claims.registry import CLAIMS
    from claims.store import load_unit, measured_seeds

    wanted = [(CLAIMS[key], arm, seed) for key in keys for seed in measured_seeds(seeds) for arm in CLAIMS[key].arms]
    missing = [(c, (c.key, arm, seed)) for c, arm, seed in wanted if load_unit(folder, c, arm, seed) is None]
    print(f"{len(wanted)} runs, {len(wanted) - len(missing)} of them kept from before, {workers} at a time", flush=True)
    start, done = time.monotonic(), 0

    def report(job: Job, seconds: float) -> None:
        nonlocal done
        done += 1
        minutes = (time.monotonic() - start) / 60
        print(f"[{done:3d}/{len(missing)}] {job[0]:<12} {job[1]:<18} seed {job[2]}  {seconds:6.1f} CPU s"
              f"  {minutes:5.1f} min so far", flush=True)  # fmt: skip

    together = [job for claim, job in missing if not claim.alone]
    if workers > 1 and together:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for future in as_completed([pool.submit(measure, folder, job) for job in together]):
                report(*future.result())
        together = []
    for job in [*together, *(job for claim, job in missing if claim.alone)]:
        report(*measure(folder, job))


def write(results: dict[str, Any], path: Path, page: Path) -> None:
    """The page and its figures, from the results alone."""
    from claims.page import figures, render

    page.write_text(render(results), encoding="utf-8")
    images = page.parent / "images"
    images.mkdir(exist_ok=True)
    for name, text in figures(results).items():
        (images / name).write_text(text, encoding="utf-8")
    print(f"{path} and {page} are written")


def main(arguments: list[str] | None = None) -> int:
    """Parse, measure, write. 0 when every claim asked for was measured."""
    from claims.registry import CLAIMS
    from claims.store import collect, load_results, save_results

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=f"of {', '.join(CLAIMS)}; none: all")
    parser.add_argument("--folder", type=Path, default=Path("runs/claims"), help="where single runs are kept")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--page", type=Path, default=HERE.parents[1] / "docs" / "claims.md")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write the page from the results")
    parser.add_argument("--fresh", action="store_true", help="do not take over runs of earlier calls")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.claims) - set(CLAIMS))
    if unknown:
        parser.error(f"unknown claim {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
    if not 2 <= options.seeds <= 10:
        parser.error("an interval needs 2 to 10 seeds")
    if not options.page_only:
        keys = options.claims or list(CLAIMS)
        if options.fresh:
            for unit in (unit for key in keys for unit in (options.folder / key).glob("*.json")):
                unit.unlink()
        measure_all(options.folder, keys, options.seeds, options.workers)
        results = collect(options.folder, list(CLAIMS.values()), options.seeds, load_results(options.results))
        save_results(options.results, results)
    write(load_results(options.results), options.results, options.page)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
