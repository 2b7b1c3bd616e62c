"""The process between the caller and the fork server: it starts the server and cleans up after it, whatever happens.

Run as a file, `python -P -s -S keeper.py DESCRIPTOR PARENT`, with an empty environment. It runs no code but ours and
reads nothing that a program wrote. It ends when the server ends or when the caller is gone (even killed: it watches
the caller's process), ends the server and everything that was started below it, and removes the cgroups and the temp
directory.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path


def _bare_packages() -> None:
    """Make `sibling.sandbox` importable without `sibling/__init__.py`, which needs more than the standard library."""
    here = Path(__file__).resolve().parent
    for name, folder in (("sibling", here.parent), ("sibling.sandbox", here)):
        module = types.ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module


if __name__ == "__main__":
    _bare_packages()

from sibling.sandbox import setup, trial  # noqa: E402  the packages above have to be there first

if __name__ == "__main__":
    if sys.argv[1] == "try":
        trial.everything(sys.argv[2])
        os._exit(sys.stdout.flush() or 0)
    os._exit(setup.keep(int(sys.argv[1]), int(sys.argv[2])))
