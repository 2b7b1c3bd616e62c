"""Sandboxes of each level, made once for all tests; a level that this machine lacks skips in the probe's own words."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sibling.sandbox import run
from sibling.sandbox.levels import Level
from sibling.sandbox.limits import Limits
from sibling.sandbox.probe import missing, probe
from sibling.sandbox.run import Ended, Sandbox

ATTACKS = Path(__file__).with_name("attacks.py")
PACKAGE = Path(run.__file__).parent


@dataclass
class Ground:
    """A sandbox of one level and how to run one of the programs of `attacks.py` in it."""

    sandbox: Sandbox

    def end(self, name: str, *args: Any, channels: Any = (), **limits: Any) -> Ended:
        payload = json.dumps({"name": name, "args": args}).encode()
        return self.sandbox.start("attacks", payload, limits=Limits(**limits), channels=channels).wait()

    def run(self, name: str, *args: Any, channels: Any = (), **limits: Any) -> Any:
        """What the program says it managed."""
        ended = self.end(name, *args, channels=channels, **limits)
        assert (ended.how, ended.code) == ("exited", 0), ended
        return json.loads(ended.stdout)


def apart(code: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own, with `sibling.sandbox` importable by the standard library alone."""
    bare = textwrap.dedent(f"""
        import sys, types
        for name, folder in (("sibling", {str(PACKAGE.parent)!r}), ("sibling.sandbox", {str(PACKAGE)!r})):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = [folder]
    """)
    return subprocess.run(
        [options.pop("python", sys.executable), "-P", "-s", "-S", "-B", "-c", bare + textwrap.dedent(code)],
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


@pytest.fixture(name="apart")
def _apart() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    return apart


@pytest.fixture(scope="session")
def at() -> Iterator[Callable[[Level], Ground]]:
    made: dict[Level, Ground] = {}

    def ground(level: Level) -> Ground:
        if missing(level):
            pytest.skip(missing(level))
        if level not in made:
            made[level] = Ground(Sandbox([ATTACKS], level=level))
        return made[level]

    yield ground
    for each in made.values():
        each.sandbox.close()


@pytest.fixture
def strongest(at: Callable[[Level], Ground]) -> Ground:
    if probe().level < Level.isolated:
        pytest.skip("; ".join(probe().words))
    return at(probe().level)


@pytest.fixture
def weak(at: Callable[[Level], Ground]) -> Ground:
    return at(Level.limits)


@pytest.fixture
def filtered(at: Callable[[Level], Ground]) -> Ground:
    return at(Level.filtered)


@pytest.fixture
def bare(at: Callable[[Level], Ground]) -> Ground:
    return at(Level.none)
