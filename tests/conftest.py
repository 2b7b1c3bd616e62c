"""Shapes and types of the maths are checked while testing: jaxtyping annotations, enforced by beartype."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker: the suite runs two workers on two cores
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from jaxtyping import install_import_hook

install_import_hook("sibling.maths", "beartype.beartype")
