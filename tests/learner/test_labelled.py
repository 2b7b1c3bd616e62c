"""Examples from the record: which rows have a label, in which order, and that nothing else is needed to fit again."""

import numpy as np
import pytest
from small_batches import plain_model

from sibling.batch import Completion, Fate, Finish, Prompt, Row, Status, Verdict
from sibling.errors import RecordError
from sibling.learner.labelled import LabelledSteps, example
from sibling.learner.reward_model import RewardModel
from sibling.record.samples import write_samples

PROMPTS = tuple(Prompt(f"p{i}", f"prompt {i}", np.array([10 + i, 20 + i]), "4") for i in range(2))
NO_SCORE = (Status.abstain, Status.error)


def row(step, prompt, sibling, status, finish=Finish.eos):
    tokens = np.array([30 + step, 40 + prompt, 50 + sibling])
    done = Completion(tokens, np.zeros(3, np.float32), finish, "text")
    verdict = Verdict(status, None if status in NO_SCORE else float(status is Status.right))
    return Row(prompt, sibling, 0, done, (Verdict(Status.right, 0.5), verdict), 0.5, 0.0, Fate.dead_group)


def written(folder, step, rows):
    path = folder / f"step-{step:06d}.parquet"
    names, weights = ("learned", "truth"), (1.0, 0.0)
    write_samples(path, step, "run", reward_names=names, reward_weights=weights, prompts=PROMPTS, rows=rows)
    return path


def four(step):
    kinds = [(0, 0, Status.right), (0, 1, Status.error), (1, 0, Status.wrong), (1, 1, Status.abstain)]
    return [row(step, *kind) for kind in kinds]


@pytest.fixture
def steps(tmp_path):
    own = LabelledSteps("truth")
    for step in range(1, 5):
        own.add(written(tmp_path, step, four(step)))
    return own


def as_lists(examples):
    return [(e.prompt.tolist(), e.completion.tolist(), e.label) for e in examples]


def of(step):
    return [([10, 20], [30 + step, 40, 50], 1.0), ([11, 21], [30 + step, 41, 50], 0.0)]


def test_labels_are_the_verdicts_of_one_reward(steps):
    assert steps.steps == 4
    assert as_lists(steps.between(2, 3)) == [*of(2), *of(3)]
    assert as_lists(steps.between(1, 4)[2:5:2]) == [of(2)[0], of(3)[0]]
    assert as_lists([steps.between(1, 4)[i] for i in (7, -8, 0, -1)]) == [of(4)[1], of(1)[0], of(1)[0], of(4)[1]]
    assert steps.between(1, 4)[0].prompt.dtype == np.int64
    for first, last in ((1, 0), (3, 2), (5, 9)):
        assert len(steps.between(first, last)) == 0
    for outside in (8, -9):
        with pytest.raises(IndexError):
            steps.between(1, 4)[outside]


def test_steps_without_a_label_and_expert_traces_are_passed_over(tmp_path):
    own = LabelledSteps("truth")
    own.add(written(tmp_path, 1, four(1)))
    own.add(written(tmp_path, 2, [row(2, 0, 0, Status.error), row(2, 0, 1, Status.right, Finish.expert)]))
    own.add(written(tmp_path, 3, []))
    own.add(written(tmp_path, 4, four(4)))
    assert as_lists(own.between(1, 4)) == [*of(1), *of(4)]


def test_a_completion_just_drawn_has_the_label_it_will_have_in_the_record(steps):
    own = [example(PROMPTS[r.prompt], r.completion, r.verdicts[1]) for r in four(2)]
    assert [e is None for e in own] == [False, True, False, True]
    assert as_lists(e for e in own if e is not None) == of(2)
    expert = row(2, 0, 0, Status.right, Finish.expert)
    assert example(PROMPTS[0], expert.completion, expert.verdicts[1]) is None


def test_a_fit_from_the_record_is_a_fit_from_memory(steps):
    digests = set()
    for labelled, history in (
        (steps.between(3, 4), steps.between(1, 2)),
        (list(steps.between(3, 4)), list(steps.between(1, 2))),
    ):
        own = RewardModel(plain_model(), learning_rate=1e-3)
        assert own.fit(labelled, history, replay_share=0.4, seed=0, step=4).replayed == 3
        digests.add(own.digest())
    assert len(digests) == 1


def test_files_that_cannot_be_used(tmp_path):
    path = written(tmp_path, 1, four(1))
    with pytest.raises(RecordError, match="no verdicts of the reward other"):
        LabelledSteps("other").add(path)
    own = LabelledSteps("truth")
    own.add(path)
    written(tmp_path, 1, [row(1, 0, 0, Status.error), *four(1)[1:]])
    with pytest.raises(RecordError, match="changed while the run went on"):
        own.between(1, 1)[0]
    path.unlink()
    with pytest.raises(RecordError, match="cannot be read"):
        own.add(path)
