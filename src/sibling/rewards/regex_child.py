"""The process in which `rewards.regex` searches: reads requests as JSON lines, answers in JSON lines.

Run as a file, with the standard library alone. Where the system has alarms it also ends itself, in case the
parent was killed during a search that never ends.
"""

import json
import re
import signal
import sys
from typing import Any


def search(pattern: str, text: str, full: bool) -> dict[str, Any]:
    """Whether the pattern is found, and what its group `answer` caught."""
    match = re.fullmatch(pattern, text) if full else re.search(pattern, text)
    groups = {} if match is None else match.groupdict()
    return {"found": match is not None, "answer": groups.get("answer")}


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    alarm = getattr(signal, "alarm", lambda seconds: None)  # its default action ends the process
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        alarm(int(request["seconds"]) + 2)
        reply = search(request["pattern"], request["text"], request["full"])
        alarm(0)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
