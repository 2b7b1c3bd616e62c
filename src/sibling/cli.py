"""The command `sibling`: thin commands over the package, and the one place where errors become text and exit codes.

Exit codes: 0 done; 1 the run or the check failed; 2 the request was wrong; 130 and 143 interrupted by Ctrl-C
or SIGTERM. Whatever needs torch is imported inside the command that needs it. It is one module on purpose: every
command and option of the program can be seen in one file.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from sibling.errors import RequestError
from sibling.pipeline.process import prepare
from sibling.report.gather import find_run
from sibling.report.paragraph import complain, explain, width

if TYPE_CHECKING:
    from sibling.config import Recipe
    from sibling.pipeline.observer import Observer
    from sibling.pipeline.run import RunResult

app = typer.Typer(
    help="Group Relative Policy Optimization that is exact, fast, watchful and accountable.",
    epilog="Start with: sibling train recipes/tiny.yaml",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(rich_markup_mode=None)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run directory, or a name under runs/.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides, as in sampling.group_size=8.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    del debug  # taken out of the arguments by `run`, so that it can stand anywhere
    if version:
        typer.echo(importlib.metadata.version("sibling"))
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


# ------------------------------------------------------------------------------------------------- run


@app.command(short_help="Train a model as a recipe says, and record all of it.")
def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML recipe.")],
    overrides: Overrides = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print every value and the equation; run nothing.")
    ] = False,
) -> None:
    """Train a model as a recipe says, evaluate it before and after, and record all of it.

    Ctrl-C once finishes the step and saves; twice stops now. `sibling resume` goes on either way.
    """
    from sibling.config import load_recipe

    asked = load_recipe(recipe, overrides or [])
    if print_config:
        _print_config(asked)
        return
    _require_training()
    _tell_objective(asked)
    text = recipe.read_text(encoding="utf-8")

    def start(observer: Observer) -> RunResult:
        from sibling.pipeline.run import train as run_training

        return run_training(asked, recipe_text=text, base=recipe.parent, observer=observer)

    _attended(start, asked, asked.directory())


@app.command(short_help="Go on with an interrupted or killed run.")
def resume(run: RunArgument) -> None:
    """Go on with an interrupted or killed run, to the same bits as without the interruption."""
    directory = find_run(run)
    _require_training()
    from sibling.report.attending import recorded_recipe

    def start(observer: Observer) -> RunResult:
        from sibling.pipeline.run import resume as resume_run

        return resume_run(directory, observer=observer)

    _attended(start, recorded_recipe(directory), directory)


@app.command(short_help="Evaluate a run or a model on held-out prompts.")
def eval(
    target: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="A run directory or a model directory.")],
    overrides: Overrides = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="The recipe whose held-out prompts and rewards to use.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run's final model, or any model, on held-out prompts.

    A run brings its own recipe; a model needs --recipe.
    """
    _require_training()
    from sibling.pipeline.standalone import evaluate_target
    from sibling.report.attending import ProgressOnly
    from sibling.report.observing import Observers
    from sibling.report.outcome import summary_sentence

    with Observers(ProgressOnly()) as observers:
        document = evaluate_target(
            target, recipe=recipe, overrides=overrides or [], observer=cast("Observer", observers)
        )
    typer.echo(json.dumps(document, indent=2) if as_json else summary_sentence(target, document["summary"]))


# ------------------------------------------------------------------------------------------------ look


@app.command(short_help="Follow a run from another terminal.")
def watch(run: RunArgument) -> None:
    """Follow a run from another terminal, until it ends. Ctrl-C stops watching, not the run."""
    from rich.console import Console

    from sibling.report.live import choose_display
    from sibling.report.watching import watch as follow

    follow(find_run(run), choose_display(Console()))


@app.command(short_help="Print completions in groups of siblings, best first.")
def samples(
    run: RunArgument,
    *,
    step: Annotated[str | None, typer.Option(help="A step, a range such as 3-7, or all. Default: the last.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Part of the prompt's text or task id.")] = None,
    reward_above: Annotated[float | None, typer.Option(help="Only rewards above this.")] = None,
    reward_below: Annotated[float | None, typer.Option(help="Only rewards below this.")] = None,
    fate: Annotated[str | None, typer.Option(help="Only this fate, such as trained or dead_group.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most groups to show.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Whole texts instead of one line each.")] = False,
    as_json: Json = False,
) -> None:
    """Print completions with their rewards and advantages, in groups of siblings, best first."""
    from rich.console import Console

    from sibling.report.browsing import Query, json_lines, show

    query = Query(step, prompt, reward_above, reward_below, fate, limit)
    directory = find_run(run)
    if as_json:
        for line in json_lines(directory, query):
            typer.echo(line)
    else:
        show(directory, query, Console(), full=full)


@app.command(short_help="Write report.html, one self-contained page about a run.")
def report(run: RunArgument) -> None:
    """Write report.html: one self-contained page about a run, finished or not."""
    from sibling.report.gather import gather
    from sibling.report.outcome import sentence
    from sibling.report.page import write_report

    directory = find_run(run)
    path = write_report(directory)
    typer.echo(f"{sentence(gather(directory))}\n{path}")


@app.command(short_help="Check a run's record offline, without torch.")
def verify(
    run: RunArgument,
    head: Annotated[str | None, typer.Option(help="A chain head kept elsewhere, to check against.")] = None,
    as_json: Json = False,
) -> None:
    """Check a run's record offline: hash chain, files, balance, and what follows from the scores."""
    from dataclasses import asdict

    from sibling.record.verify import render, verify_run

    outcome = verify_run(find_run(run), head)
    typer.echo(json.dumps(asdict(outcome), indent=2) if as_json else render(outcome, width=width()), nl=as_json)
    if not outcome.ok:
        raise typer.Exit(1)


# ---------------------------------------------------------------------------------------- check, set up


@app.command(short_help="List, show, explain, translate or check the objectives.")
def objectives(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="NAME | check FILE", help="An objective, or a file of vectors.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--explain", metavar="RECIPE", help="What a recipe will minimise; key=value as in train."),
    ] = None,
    from_trl: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Translate the settings of a TRL trainer into a recipe.")
    ] = None,
    from_verl: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Translate the settings of a verl run into a recipe.")
    ] = None,
    dtype: Annotated[Literal["float64", "float32", "both"], typer.Option(help="Precision for check.")] = "both",
    as_json: Json = False,
) -> None:
    """List the objectives, show one with its equation, explain a recipe, or check against golden vectors.

    `sibling objectives check FILE` runs every case of a file of golden vectors; a miss exits with 1.
    """
    asked = [option for option in (recipe, from_trl, from_verl) if option is not None]
    if len(asked) > 1 or (asked and words and recipe is None):
        raise RequestError("objectives does one thing at a time", wanted="a name, check FILE, or one of its options")
    if from_trl is not None or from_verl is not None:
        _translate(from_trl, from_verl, as_json)
        return
    _require_training()
    if recipe is not None:
        if as_json:
            raise RequestError("An explanation is text", seen="--explain with --json", do="Leave --json out")
        _explain_recipe(recipe, words or [])
        return
    match words or []:
        case []:
            _show_objectives(None, as_json)
        case ["check", file]:
            _check_objectives(Path(file), ["float64", "float32"] if dtype == "both" else [dtype], as_json)
        case [name] if name != "check":
            _show_objectives(name, as_json)
        case _:
            raise RequestError("objectives takes a name, or check and one file", seen=" ".join(words or []))


@app.command(short_help="Grade pairs of a task and a completion with a verifier.")
def grade(
    verifier: Annotated[str, typer.Argument(metavar="VERIFIER", help="A type such as math or code, or file.py:name.")],
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS.jsonl", help="One JSON object a line.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Options of the verifier, as in boxes=last.")
    ] = None,
    as_json: Json = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a labelled pair is graded otherwise.")] = False,
) -> None:
    """Grade pairs of a task and a completion: a line a pair, then totals.

    A row holds completion, reference and what columns the verifier reads (tests, asserts, io, schema ...). Where it
    holds want (accept or refuse), false accepts and false refusals are listed.
    """
    from sibling.config import parse_reward
    from sibling.report.grading import one_line, render_totals
    from sibling.rewards.grade import Grader
    from sibling.rewards.pairs import grade_pairs, read_pairs, totals

    grader = Grader((parse_reward(verifier, options or []),), base=Path.cwd(), max_tokens=1)
    done = []
    for graded in grade_pairs(grader, read_pairs(pairs)):
        typer.echo(json.dumps(graded.line()) if as_json else one_line(graded.line(), width()))
        done.append(graded)
    found = totals(done)
    typer.echo(json.dumps({"totals": found}) if as_json else render_totals(found, width()))
    if check and (found.get("false_accepts") or found.get("false_refusals")):
        raise typer.Exit(1)


@app.command(short_help="Find out how a reward can be fooled, before it trains anyone.")
def audit(
    reward: Annotated[str, typer.Argument(metavar="REWARD", help="A type, module:name, file.py:name, or a recipe.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Options of the type, or overrides of the recipe.")
    ] = None,
    *,
    tasks: Annotated[Path | None, typer.Option(help="Your prompts with references, as JSON lines.")] = None,
    signature: Annotated[str, typer.Option(help="Of a function: auto, task, trl, verl or plain.")] = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="50 prompts and ten seconds, as before training.")] = False,
    budget: Annotated[int | None, typer.Option(help="Calls of the reward, about. Default: 8000.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Bound on one call. Default: 2.")] = None,
    accept: Annotated[float | None, typer.Option(help="Score from which a completion counts as accepted.")] = None,
    template: Annotated[str | None, typer.Option(help="The completion format, with {answer} in it.")] = None,
    probe: Annotated[list[str] | None, typer.Option(help="Only this probe or group; may be given again.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="A policy probe whose violations count; again.")] = None,
    suppress: Annotated[list[str] | None, typer.Option(help="PROBE:YYYY-MM-DD:REASON, known until then.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Fail only on what is worse than this file.")] = None,
    write_baseline: Annotated[Path | None, typer.Option(help="Write such a file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the report as Markdown.")] = None,
    show_sensitive: Annotated[bool, typer.Option("--show-sensitive", help="Print exploit texts.")] = False,
    as_json: Json = False,
) -> None:
    """Find out how often a reward refuses what is right and pays for what is wrong. Exits with 1 if it fails.

    The reward runs in processes of its own, on your prompts or on built-in ones, on about a hundred kinds of probes.
    """
    from sibling.audit.command import audit_command

    code = audit_command(
        reward,
        options=options or [],
        tasks=tasks,
        signature=signature,
        as_json=as_json,
        html=html,
        markdown=markdown,
        baseline=baseline,
        write_baseline=write_baseline,
        suppress=suppress or [],
        probes=probe or [],
        policy=policy or [],
        budget=budget,
        seconds=seconds,
        accept=accept,
        template=template,
        quick=quick,
        show_sensitive=show_sensitive,
    )
    if code:
        raise typer.Exit(code)


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List models that need no files of yours."""
    _require_training()
    from sibling.models.embedded import list_models

    rows = list_models()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['name']}\n    {row['recipe']}\n    {row['parameters']:,} weights, {row['state']}")


@models_app.command("get")
def models_get(name: Annotated[str, typer.Argument(help="As listed, or owner/name on the hub.")]) -> None:
    """Fetch a model into the cache and print its directory."""
    _require_training()
    from sibling.models.embedded import get_model

    typer.echo(get_model(name))


app.add_typer(models_app, name="models", help="List models that need no files of yours, or fetch one.")


@app.command(short_help="Say what this machine has for training.")
def doctor(
    recipe: Annotated[Path | None, typer.Argument(metavar="RECIPE", help="A YAML recipe to estimate for.")] = None,
    overrides: Overrides = None,
) -> None:
    """Say what this machine has for training: versions, speeds, the compute dtype, memory, what fits. Uses no network.

    With a recipe, memory and the largest token budget are those of its model and settings; without one, those of
    the embedded model and the defaults.
    """
    from sibling.config import load_recipe
    from sibling.pipeline.doctor import machine, training

    asked = load_recipe(recipe, overrides or []) if recipe is not None else None
    for name, value in machine():
        _tell(name, value)
    try:
        _require_training()
    except RequestError as error:
        _tell("training", f"not possible: {error}")
        return
    for name, value in training(asked, recipe.parent if recipe is not None else None):
        _tell(name, value)


def _tell(name: str, value: str) -> None:
    """One line of a list of facts, folded under its second column."""
    typer.echo(textwrap.fill(f"{name:<12} {value}", width(), subsequent_indent=" " * 13, break_on_hyphens=False))


# --------------------------------------------------------------------------------- what commands share


def _require_training() -> None:
    """Raise `RequestError` unless the packages of the extra `train` are installed."""
    for package in ("torch", "transformers"):
        try:
            found = importlib.util.find_spec(package) is not None
        except (ImportError, ValueError):
            found = False
        if not found:
            raise RequestError(
                f"This needs {package}, which is not installed", do="Run `pip install 'sibling[train]'` and try again"
            )


def _attended(start: Callable[[Observer], RunResult], recipe: Recipe | None, directory: Path) -> None:
    """Show a run from its start to the last words. Ctrl-C twice ends it here, with the command that goes on.

    The observers have the methods of the pipeline's `Observer`; report and pipeline do not import each other.
    """
    from sibling.report.attending import attend, farewell

    with attend(recipe) as observers:
        observers.phase("load")  # importing torch takes seconds: the display comes first
        try:
            result = start(cast("Observer", observers))
        except KeyboardInterrupt:
            observers.close()
            complain(f"Stopped at once. `sibling resume {directory}` goes on from the last checkpoint", "")
            raise typer.Exit(130) from None
    raise typer.Exit(farewell(result.directory, result.summary))


def _tell_objective(recipe: Recipe) -> None:
    """What will be minimised, in three lines or so."""
    from sibling.maths.objectives import OBJECTIVES
    from sibling.report.objectives import in_short

    typer.echo(in_short(OBJECTIVES[recipe.objective.type], width=width()))


def _print_config(recipe: Recipe) -> None:
    """The resolved recipe as YAML, the objective above it as a comment; the output is a recipe itself."""
    import yaml

    try:
        _require_training()
        from sibling.learner.explain import explain as explain_recipe
        from sibling.maths.objectives import OBJECTIVES

        explained = explain_recipe(recipe, OBJECTIVES[recipe.objective.type])
        typer.echo(textwrap.indent(explained, "# ", lambda line: True))
    except RequestError as error:
        complain(str(error), "The equation is left out: ")
    typer.echo(yaml.safe_dump(recipe.resolved(), sort_keys=False, allow_unicode=True), nl=False)


def _show_objectives(name: str | None, as_json: bool) -> None:
    from sibling.maths.objectives import OBJECTIVES, find
    from sibling.report.objectives import describe, facts, listing

    rows = list(OBJECTIVES.values()) if name is None else [find(name)]
    if as_json:
        typer.echo(json.dumps([facts(row) for row in rows], indent=2))
    elif name is None:
        typer.echo(listing(rows, width=width()))
    else:
        typer.echo(describe(rows[0], width=width()))


def _explain_recipe(file: Path, overrides: Sequence[str]) -> None:
    from sibling.config import load_recipe
    from sibling.learner.explain import explain as explain_recipe
    from sibling.maths.objectives import OBJECTIVES

    recipe = load_recipe(file, overrides)
    typer.echo(explain_recipe(recipe, OBJECTIVES[recipe.objective.type], width=width()))


def _translate(trl: Path | None, verl: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from sibling.report.peers import read_settings, translation_text
    from sibling.report.trl import from_trl
    from sibling.report.verl import from_verl

    if trl is not None:
        translation = from_trl(read_settings(trl))
    else:
        assert verl is not None
        translation = from_verl(read_settings(verl))
    typer.echo(json.dumps(asdict(translation), indent=2) if as_json else translation_text(translation, width()))


def _check_objectives(file: Path, precisions: list[Literal["float64", "float32"]], as_json: bool) -> None:
    from dataclasses import asdict

    from sibling.maths.golden import check_cases
    from sibling.report.objectives import check_text, read_vectors

    document = read_vectors(file)
    results: dict[str, Sequence[Any]] = {precision: check_cases(document, precision) for precision in precisions}
    if as_json:
        typer.echo(json.dumps({p: [asdict(r) for r in found] for p, found in results.items()}, indent=2))
    else:
        typer.echo(check_text(results))
    if any(r.status == "miss" for found in results.values() for r in found):
        raise typer.Exit(1)


# ----------------------------------------------------------------------------------------------- entry


def main() -> None:
    """The console command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an ASCII terminal shows ? rather than an exception
    prepare()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors become one paragraph on standard error."""
    debug = "--debug" in arguments
    try:
        code = app([a for a in arguments if a != "--debug"], prog_name="sibling", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        return explain(error)
