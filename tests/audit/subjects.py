"""Rewards to be audited by the tests: one that holds, and one a fault."""

import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path

BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def boxes(text):
    return [found.strip() for found in BOX.findall(text)]


def sound(completion, reference):
    found = boxes(completion)
    if reference is None or len(found) != 1 or "<think>" in completion:
        return 0.0
    try:
        return float(float(found[0]) == float(reference))
    except ValueError:
        return 0.0


def unclear(a, b):  # the reference comes first
    return sound(b, a)


def verl_style(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": sound(solution_str, ground_truth), "pred": "x"}


def trl_style(completions, answer, **columns):
    return [sound(c, a) for c, a in zip(completions, answer, strict=True)]


def trl_position(completions, reference, **columns):
    return [sound(c, r) if i < 3 else 0.0 for i, (c, r) in enumerate(zip(completions, reference, strict=True))]


def trl_centred(completions, reference, **columns):
    scores = [sound(c, r) for c, r in zip(completions, reference, strict=True)]
    return [s - sum(scores) / len(scores) if len(scores) > 1 else s for s in scores]


def trl_short(completions, reference, **columns):
    return [1.0] if len(completions) == 1 else [1.0] * (len(completions) - 1)


def task_style(task, completion):
    return sound(completion.text, task.reference)


def always_raises(completion, reference):
    raise RuntimeError("out of order")


def raises_on_empty(completion, reference):
    return sound(completion, reference) if boxes(completion)[0] else 0.0


def hangs_on_empty(completion, reference):
    if not completion.strip():
        time.sleep(60)
    return sound(completion, reference)


def always_hangs(completion, reference):
    time.sleep(60)


def nan_when_wrong(completion, reference):
    return sound(completion, reference) or float("nan")


def eats_memory(completion, reference):
    if not completion.strip():
        return float(len(bytearray(1 << 40)))
    return sound(completion, reference)


def dies_on_empty(completion, reference):
    if not completion.strip():
        os._exit(3)
    return sound(completion, reference)


_seen = set()


def pays_once(completion, reference):
    new = completion not in _seen
    _seen.add(completion)
    return sound(completion, reference) * new


_calls = []


def remembers(completion, reference):
    if len(completion) > 1500:
        _calls.append(completion)
    return sound(completion, reference) * (0.9 if _calls else 1.0)


def tosses(completion, reference):
    return sound(completion, reference) + random.random() / 10


def coin(completion, reference):
    return sound(completion, reference) * (random.random() < 0.5)


def by_hash(completion, reference):
    return sound(completion, reference) * (0.9 if hash(completion) % 2 else 1.0)


def alarmed(completion, reference):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(5)
    try:
        return sound(completion, reference)
    finally:
        signal.alarm(0)


def leaves_threads(completion, reference):
    _calls.append(completion)
    if len(_calls) % 20 == 0:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
    return sound(completion, reference)


def runs_answers(completion, reference):
    found = boxes(completion)
    try:
        return float(eval(found[-1]) == float(reference))  # noqa: S307 - the fault that the audit has to find
    except Exception:
        return 0.0


def contains(completion, reference):
    return float((reference or "") in completion)


def ignores_reference(completion, reference):
    return float(bool(boxes(completion)))


def any_box(completion, reference):
    return float(reference in boxes(completion))


def one_sided(completion, reference):
    """Verifies in the wrong order: what it takes for the reference is the answer."""
    found = boxes(completion)
    return float(len(found) == 1 and (found[0] == reference or found[0] == f"x={reference}"))


def longer_pays(completion, reference):
    return sound(completion, reference) * (1 + min(len(completion), 3000) / 10_000)


def long_wrong_pays(completion, reference):
    return 1.0 if len(completion) > 150 else sound(completion, reference)


def partly(completion, reference):
    if sound(completion, reference):
        return 1.0
    return 0.3 if reference and reference in completion else 0.0


def out_of_ten(completion, reference):
    return 10 * sound(completion, reference)


def own_format(completion, reference):
    return float(completion == f"<<{reference}>>")


def writes_log(completion, reference):
    Path("log.txt").write_text("a call", encoding="utf-8")
    return sound(completion, reference)


async def awaited(completion, reference):
    return sound(completion, reference)


def prints(completion, reference):
    print("noise", completion)
    print("noise", file=sys.stderr)
    return sound(completion, reference)


class Holder:
    def method(self, completion, reference):
        return sound(completion, reference)
