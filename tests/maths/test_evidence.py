from dataclasses import replace

import numpy as np
import pytest

from sibling.errors import RunError
from sibling.maths.evidence import Advantages, Evidence, penalised_reward, require


def column(values):
    return np.array(values, dtype=np.float64)


MASK = (np.array([True, False]), np.array([True, True, True]))
KL = (column([0.5, 9.0]), column([0.1, 0.2, -0.4]))
EVIDENCE = Evidence(reward=column([1.0, 2.0]), group=np.array([0, 0]), mask=MASK, kl=KL, kl_beta=0.5)


def test_penalised_reward_by_hand():
    # 1 - .5 * .5;  2 - .5 * (-.1)
    assert penalised_reward(EVIDENCE).tolist() == pytest.approx([0.75, 2.05])


def test_what_is_missing_is_named():
    require(EVIDENCE, (), "rloo")
    require(replace(EVIDENCE, values=KL), ("values",), "gae")
    with pytest.raises(RunError, match=r"gae lacks.*no values.*Wanted: values, kl"):
        require(EVIDENCE, ("values",), "gae")
    with pytest.raises(RunError, match="no kl"):
        require(replace(EVIDENCE, kl=None), (), "rloo")
    require(replace(EVIDENCE, kl=None, kl_beta=0.0), (), "rloo")


@pytest.mark.parametrize("field", ["mask", "kl", "values", "token_rewards"])
def test_ragged_columns_are_refused(field):
    short = MASK[:1] if field == "mask" else KL[:1]
    with pytest.raises(RunError, match=rf"column {field} differs in length.*Seen: 1"):
        require(replace(EVIDENCE, **{field: short}), (), "gae")


@pytest.mark.parametrize("field", ["kl", "values", "token_rewards"])
def test_columns_that_do_not_fit_their_tokens_are_refused(field):
    ok = (column([1.0, np.nan]), column([1.0, 2.0, 3.0]))  # not finite where the mask is false: nobody looks
    require(replace(EVIDENCE, **{field: ok}), (), "gae")
    for bad in (column([1.0, 2.0]), column([1.0, np.inf, 2.0]), column([1.0, np.nan, 2.0])):
        with pytest.raises(RunError, match=f"column {field} does not fit"):
            require(replace(EVIDENCE, **{field: (ok[0], bad)}), (), "gae")
    with pytest.raises(RunError, match="scores differs"):
        require(replace(EVIDENCE, scores=np.zeros((3, 1))), (), "gdpo")
    with pytest.raises(RunError, match="steps differs"):
        require(replace(EVIDENCE, steps=()), (), "process")


ENDS = np.array([0, 2])


@pytest.mark.parametrize(
    ("ends", "scores"),
    [
        (ENDS, [1.0]),
        (ENDS[:1], [1.0, 2.0]),
        (ENDS, [1.0, np.nan]),
        (ENDS, [-np.inf, 1.0]),
        (ENDS, [np.inf, np.inf]),
        (ENDS + 1, [1.0, 2.0]),
        (ENDS - 1, [1.0, 2.0]),
        (ENDS - 3, [1.0, 2.0]),
    ],
)
def test_steps_must_fit_the_tokens(ends, scores):
    first = (np.array([0, 1]), column([1.0, 2.0]))
    require(replace(EVIDENCE, steps=(first, (ENDS, column([1.0, 2.0])))), ("steps",), "process")
    with pytest.raises(RunError, match="steps of a completion do not fit"):
        require(replace(EVIDENCE, steps=(first, (ends, column(scores)))), ("steps",), "process")


def test_live_completions_share_their_group():
    group = np.array([0, 0, 1, 1, 2])
    own = Advantages(sequence=column([0, 1e-300, 0, 0, -1]))
    assert own.live(group).tolist() == [True, True, False, False, True]
    token = Advantages(token=(column([0, 0]), column([0, 2]), column([0]), column([]), column([0])))
    assert token.live(group).tolist() == [True, True, False, False, False]
    assert Advantages(token=()).live(np.zeros(0, dtype=np.int64)).shape == (0,)
