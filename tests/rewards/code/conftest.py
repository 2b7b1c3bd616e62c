from collections.abc import Iterator

import pytest

from sibling.config.rewards import CodeReward
from sibling.rewards.code.reward import Code


@pytest.fixture(scope="session")
def code() -> Iterator[Code]:
    """The verifier with a short time limit, shared by the tests: each grading has processes of its own."""
    reward = Code(CodeReward(sandbox="limits", seconds=4.0))
    yield reward
    reward.close()
