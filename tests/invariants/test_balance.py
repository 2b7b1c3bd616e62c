"""Invariant balance: generated = trained + rejected(reason), per step. Exact, whatever the rewards say."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_rollouts import LONG, VERDICTS, roll

from sibling.batch import Fate, Finish
from sibling.maths.groups import is_degenerate

IN_BATCH = {Fate.trained, Fate.truncated, Fate.dead_group, Fate.too_few_scores}


@st.composite
def steps(draw):
    """The sayings of up to 16 prompts, and the settings of a step."""
    rewards, siblings = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    letters = draw(st.sampled_from(["01", "01?!", "1?", "!", "0h-1?!", "?"]))
    saying = st.tuples(st.text(letters, min_size=rewards, max_size=rewards), st.sampled_from(["", "", LONG]))
    table = draw(st.lists(st.lists(saying, min_size=siblings, max_size=siblings), min_size=4, max_size=4))
    options = {
        "siblings": siblings,
        "prompts_per_step": draw(st.integers(1, 4)),
        "dynamic": draw(st.integers(0, 4)),
        "mask_truncated": draw(st.booleans()),
        "policy": {k: draw(st.sampled_from(["drop_sample", "drop_group"])) for k in ("on_error", "on_abstain")},
    }
    return lambda prompt, sibling: "".join(table[prompt % 4][sibling]), options


@settings(max_examples=150, deadline=None)
@given(steps())
def test_every_completion_has_one_fate_and_the_fates_add_up(step):
    script, options = step
    rollout = roll(script, **options)
    rows, batch, dynamic = rollout.rows, rollout.batch, options["dynamic"]

    # Generated: each sibling of each prompt once, in order; the budget of rounds holds.
    assert [(r.prompt, r.sibling) for r in rows] == [
        (p, s) for p in range(len(rollout.prompts)) for s in range(options["siblings"])
    ]
    assert [r.round for r in rows] == sorted(r.round for r in rows)
    assert rollout.rounds <= max(dynamic, 1)

    # Balance: trained + rejected by reason.
    counts = Counter(r.fate for r in rows)
    trained = counts.pop(Fate.trained, 0)
    assert len(rows) == trained + sum(counts.values())

    # The batch holds the trained ones, and those that count in denominators, and nobody else.
    kept = [r for r in rows if r.fate in IN_BATCH]
    assert batch.size == len(kept) and int(batch.live.sum()) == trained
    assert all(a is r.completion.token_ids for a, r in zip(batch.completions, kept, strict=True))
    assert sorted(set(batch.group.tolist())) == list(range(len(batch.prompts)))

    for row in rows:
        if row.fate is not Fate.trained:
            assert row.advantage == 0.0
        assert (row.reward is None) == (row.fate in (Fate.reward_error, Fate.reward_abstain, Fate.group_dropped))
        assert (row.fate is Fate.refilled) <= (dynamic > 0)
        assert (row.fate in (Fate.dead_group, Fate.too_few_scores)) <= (dynamic == 0)
        truncated = options["mask_truncated"] and row.completion.finish is Finish.length
        assert not (truncated and row.fate is Fate.trained)
        assert (row.fate is Fate.truncated) <= truncated
    _check_groups(rows)


def _check_groups(rows):
    """Siblings share what a group shares; a trained group is live, a dead one is not."""
    for prompt in {r.prompt for r in rows}:
        siblings = [r for r in rows if r.prompt == prompt]
        reward = np.array([np.nan if r.reward is None else r.reward for r in siblings])
        seen = {r.fate for r in siblings}
        if Fate.trained in seen or Fate.truncated in seen:
            assert not is_degenerate(reward) and not seen & {Fate.dead_group, Fate.refilled, Fate.too_few_scores}
        if seen & {Fate.dead_group, Fate.refilled, Fate.too_few_scores}:
            assert is_degenerate(reward)
        if Fate.group_dropped in seen:
            assert seen <= {Fate.group_dropped, Fate.reward_error, Fate.reward_abstain}


def test_the_letters_cover_every_kind_of_verdict():
    assert {v.status.value for v in VERDICTS.values()} == {"right", "wrong", "abstain", "error"}
