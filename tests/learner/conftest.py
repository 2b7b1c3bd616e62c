"""These tests share helpers that lie beside the tests of the learner."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "learner"))
