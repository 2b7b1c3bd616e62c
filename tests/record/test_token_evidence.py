"""Advantages made of more than rewards: each kind recomputes bit for bit, and every tampering is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_directory import Run, envelopes, policy, rewrite
from token_runs import KINDS, token_run

from sibling.batch import Fate
from sibling.canonical import canonical_json, digest, file_digest
from sibling.record.samples import read_samples
from sibling.record.verify import verify_run

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    return {name: token_run(folder / f"run-{n}", kind) for n, (name, kind) in enumerate(KINDS.items())}


@pytest.fixture
def copied(runs: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(runs[kind], tmp_path / "run"))


def found(directory: Path) -> set[str]:
    return {f.code for f in verify_run(directory).findings if f.severity == "error"}


def edit(directory: Path, type: str, change: Callable[[dict[str, Any]], object], nth: int = 0) -> None:
    """Change a body and fix every hash after it."""
    items = envelopes(directory)
    change([i for i in items if i["type"] == type][nth]["body"])
    rewrite(directory, items)


def forge(directory: Path, change: Callable[[Rows], object]) -> None:
    """Change the rows of step 1 and fix every hash, as somebody with full control of the record would."""
    path = directory / "samples" / "step-000001.parquet"
    table = read_samples(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, compression="zstd")
    edit(directory, "rollout.batch", lambda body: body.update(samples_sha256=file_digest(path)))


def trained(rows: Rows) -> dict[str, Any]:
    """A trained completion of at least two tokens with a non-zero advantage."""
    return next(r for r in rows if r["fate"] == Fate.trained and r["length"] > 1 and r["advantage"] != 0)


# ------------------------------------------------------------------------------------------------ sound records


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_recomputes_bit_for_bit(runs: dict[str, Path], kind: str) -> None:
    report = verify_run(runs[kind])
    assert report.findings == []
    assert report.facts["advantages_recomputed"] == report.facts["bit_equal"] == 24
    assert report.facts["trained"] > 8


def test_the_kinds_keep_what_their_advantages_are_made_of(runs: dict[str, Path]) -> None:
    wanted = {
        "process": {"advantages", "step_ends", "step_scores"},
        "critic": {"advantages", "values"},
        "critic and KL": {"advantages", "values", "kl"},
        "KL at tokens": {"advantages", "kl"},
        "KL of completions": {"kl"},
        "rewards to go": {"advantages"},
        "several rewards": set(),
    }
    for kind, columns in wanted.items():
        rows = read_samples(runs[kind] / "samples" / "step-000001.parquet").to_pylist()
        for row in rows:
            own = {c for c in ("advantages", "kl", "values", "step_ends", "step_scores") if row[c] is not None}
            assert own == (set() if row["fate"] == Fate.reward_error else columns), kind
            if row["advantages"] is not None:
                assert len(row["advantages"]) == row["length"]
                assert row["advantage"] == pytest.approx(np.mean(row["advantages"]), abs=1e-12)


def test_truncated_completions_of_the_masked_kinds_have_no_advantage(runs: dict[str, Path]) -> None:
    for kind in ("process, truncated masked", "KL of completions, truncated masked"):
        rows = read_samples(runs[kind] / "samples" / "step-000001.parquet").to_pylist()
        masked = [r for r in rows if r["fate"] == Fate.truncated]
        assert masked and all(r["advantage"] == 0 and not any(r["advantages"] or ()) for r in masked)


# ------------------------------------------------------------------------------------------- altered token columns

MADE_OF = [
    ("critic", "values"),
    ("critic and KL", "values"),
    ("critic and KL", "kl"),
    ("discounted critic", "values"),
    ("KL at tokens", "kl"),
    ("KL of completions", "kl"),
    ("process", "step_scores"),
]
KEPT = [*MADE_OF, ("process", "advantages"), ("critic", "advantages"), ("rewards to go", "advantages")]


@pytest.mark.parametrize(("kind", "column"), KEPT)
def test_one_altered_entry(copied: Callable[[str], Path], kind: str, column: str) -> None:
    run = copied(kind)
    forge(run, lambda rows: trained(rows)[column].__setitem__(0, trained(rows)[column][0] + 0.25))
    assert found(run) == {"ADV"}


@pytest.mark.parametrize(("kind", "column"), KEPT)
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_an_entry_that_is_no_number(copied: Callable[[str], Path], kind: str, column: str, value: object) -> None:
    run = copied(kind)
    forge(run, lambda rows: trained(rows)[column].__setitem__(0, value))
    assert found(run) == {"FIELD"}


@pytest.mark.parametrize(("kind", "column"), KEPT)
@pytest.mark.parametrize(
    "change", [lambda c: c[:-1], lambda c: [*c, 0.0], lambda c: []], ids=["cut", "longer", "empty"]
)
def test_a_column_of_another_length(
    copied: Callable[[str], Path], kind: str, column: str, change: Callable[[list[float]], list[float]]
) -> None:
    run = copied(kind)
    forge(run, lambda rows: trained(rows).update({column: change(trained(rows)[column])}))
    assert found(run) == {"FIELD"}


@pytest.mark.parametrize(("kind", "column"), KEPT)
def test_a_missing_column(copied: Callable[[str], Path], kind: str, column: str) -> None:
    run = copied(kind)
    forge(run, lambda rows: trained(rows).update({column: None}))
    assert found(run) and found(run) <= {"ADV", "FIELD"}


@pytest.mark.parametrize(("kind", "column"), KEPT)
def test_a_column_missing_from_every_row(copied: Callable[[str], Path], kind: str, column: str) -> None:
    run = copied(kind)
    forge(run, lambda rows: [r.update({column: None}) for r in rows])
    assert found(run) and found(run) <= {"ADV", "FIELD"}


def test_the_column_of_one_completion_given_to_another(copied: Callable[[str], Path]) -> None:
    run = copied("critic")

    def swap(rows: Rows) -> None:
        a, b = next(
            (a, b)
            for a in rows
            for b in rows
            if a is not b and a["values"] and b["values"] and a["length"] == b["length"] and a["trained"]
        )
        a["values"], b["values"] = b["values"], a["values"]

    forge(run, swap)
    assert found(run) == {"ADV"}


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (lambda r: [r["length"], r["length"]], "FIELD"),
        (lambda r: [-1, 0], "FIELD"),
        (lambda r: [r["length"] - 1, 0], "FIELD"),
        (lambda r: [r["length"] - 1] * 2, "ADV"),  # in order, but the first step ended earlier
    ],
)
def test_steps_that_end_elsewhere(
    copied: Callable[[str], Path], ends: Callable[[dict[str, Any]], list[int]], code: str
) -> None:
    run = copied("process")
    # Its first step has to matter: with a score equal to the mean of the group it would move nothing.
    forge(run, lambda rows: _moving(rows).update(step_ends=ends(_moving(rows))))
    assert found(run) == {code}


def _moving(rows: Rows) -> dict[str, Any]:
    return next(r for r in rows if r["trained"] and r["length"] > 1 and len({*r["advantages"]}) > 1)


def test_token_advantages_where_the_estimator_gives_none(copied: Callable[[str], Path]) -> None:
    run = copied("several rewards")
    forge(run, lambda rows: trained(rows).update(advantages=[trained(rows)["advantage"]] * trained(rows)["length"]))
    assert found(run) == {"ADV"}


def test_the_mean_of_the_tokens_is_checked_too(copied: Callable[[str], Path]) -> None:
    run = copied("critic")
    forge(run, lambda rows: trained(rows).update(advantage=trained(rows)["advantage"] + 0.5))
    assert found(run) == {"ADV"}


def test_an_advantage_on_a_token_of_a_completion_that_was_not_trained(copied: Callable[[str], Path]) -> None:
    run = copied("process, truncated masked")
    forge(run, lambda rows: _masked(rows)["advantages"].__setitem__(0, 1e-3))
    assert found(run) == {"ADV"}


def _masked(rows: Rows) -> dict[str, Any]:
    return next(r for r in rows if r["fate"] == Fate.truncated)


# ------------------------------------------------------------------------------------------- altered settings


@pytest.mark.parametrize("kind", ["critic and KL", "discounted critic", "KL at tokens", "KL of completions"])
@pytest.mark.parametrize("kl_beta", [0.0, 0.2])
def test_another_coefficient_of_the_kl(copied: Callable[[str], Path], kind: str, kl_beta: float) -> None:
    run = copied(kind)
    edit(run, "rollout.batch", lambda body: body.update(kl_beta=kl_beta))
    assert found(run) == {"ADV"}


def test_a_coefficient_without_a_kl(copied: Callable[[str], Path]) -> None:
    run = copied("critic")
    edit(run, "rollout.batch", lambda body: body.update(kl_beta=0.1))
    assert found(run) == {"ADV"}


@pytest.mark.parametrize(
    ("kind", "advantage"),
    [
        ("critic", {"lam": 0.9}),
        ("critic", {"gamma": 0.5}),
        ("critic", {"ddof": 0}),
        ("critic", {"whiten": "none"}),
        ("process", {"ddof": 0}),
        ("process", {"type": "group", "scale": "group"}),
        ("rewards to go", {"type": "reinforce_pp"}),
        ("KL of completions", {"type": "reinforce"}),
        ("several rewards", {"type": "group", "scale": "group"}),
        ("no baseline", {"type": "rloo"}),
        ("lengths", {"type": "rloo"}),
    ],
)
def test_another_estimator_or_number_in_the_log_and_in_the_recipe(
    copied: Callable[[str], Path], kind: str, advantage: dict[str, Any]
) -> None:
    """With the recipe forged too, only the advantages tell."""
    run = copied(kind)
    edit(run, "run.opened", lambda body: body["objective"]["advantage"].update(advantage))
    assert found(run) == {"ADV", "ARTIFACT"}
    _forge_recipe(run, advantage)
    assert found(run) == {"ADV"}


def _forge_recipe(run: Path, advantage: dict[str, Any]) -> None:
    import json

    path = run / "resolved.json"
    resolved = json.loads(path.read_bytes())
    resolved["objective"]["advantage"].update(advantage)
    path.write_bytes(canonical_json(resolved))
    named = digest({k: v for k, v in resolved.items() if k != "run_dir"})
    edit(run, "run.opened", lambda body: body.update(resolved_sha256=file_digest(path), recipe_digest=named))


@pytest.mark.parametrize("name", ["magic", None, 7, ["gae"]])
def test_an_estimator_that_is_not_known(copied: Callable[[str], Path], name: object) -> None:
    run = copied("critic")
    edit(run, "run.opened", lambda body: body["objective"]["advantage"].update(type=name))
    assert found(run) == {"FIELD", "ARTIFACT"}


@pytest.mark.parametrize("value", [None, "x", [], {}, 1e300, -1])
@pytest.mark.parametrize("number", ["gamma", "lam", "whiten", "ddof", "eps", "eps_mode"])
def test_hostile_numbers_of_an_estimator_never_crash(copied: Callable[[str], Path], number: str, value: object) -> None:
    run = copied("critic")
    edit(run, "run.opened", lambda body: body["objective"]["advantage"].update({number: value}))
    assert "ARTIFACT" in found(run)


# ------------------------------------------------------------------------------------------- the reference policy

REFERENCES = {
    "refresh": {"type": "refresh", "every": 2},
    "ema": {"type": "ema", "decay": 0.5, "every": 2},
}


def refreshed(directory: Path, reference: str, finetune: str = "full", digest_2: str | None = None) -> Run:
    """Four steps; the reference follows after the second and the fourth."""
    kl = {"beta": 0.1, "placement": "loss", "reference": REFERENCES[reference]}
    sections = {"objective": {"type": "grpo", "kl": kl}, "learner": {"finetune": {"type": finetune}}}
    run = Run(directory, 4, sections).open()
    for step in range(1, 5):
        run.step(step)
        if step % 2 == 0:
            run.refresh(step, digest_2 if step == 2 else None)
    run.finish()
    return run


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("finetune", ["full", "lora"])
def test_a_reference_that_follows_verifies(tmp_path: Path, reference: str, finetune: str) -> None:
    assert verify_run(refreshed(tmp_path / "run", reference, finetune).directory).findings == []


def test_a_refreshed_reference_is_the_policy_of_a_full_fine_tune(tmp_path: Path) -> None:
    other = digest("x")
    assert found(refreshed(tmp_path / "a", "refresh", digest_2=other).directory) == {"POLICY"}
    # Its weights are named otherwise under LoRA, and an average is another policy.
    assert found(refreshed(tmp_path / "b", "refresh", "lora", other).directory) == set()
    assert found(refreshed(tmp_path / "c", "ema", digest_2=other).directory) == set()


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_made_of_another_policy(tmp_path: Path, reference: str) -> None:
    run = refreshed(tmp_path / "run", reference).directory
    edit(run, "reference.updated", lambda body: body.update(policy_digest=policy(1)))
    assert found(run) == {"POLICY"}


def test_a_reference_that_changed_at_a_step_that_is_not_the_last(tmp_path: Path) -> None:
    run = refreshed(tmp_path / "run", "refresh").directory
    edit(run, "reference.updated", lambda body: body.update(step=1))
    assert "ORDER" in found(run)


def test_a_reference_in_a_false_place(tmp_path: Path) -> None:
    run = refreshed(tmp_path / "run", "refresh").directory
    items = envelopes(run)
    at = next(n for n, i in enumerate(items) if i["type"] == "reference.updated")
    items[at], items[at - 1] = items[at - 1], items[at]  # before the update of its step
    rewrite(run, items)
    assert "ORDER" in found(run)
