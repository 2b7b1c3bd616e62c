"""A judge on loopback that can fail in every way, and the texts it is put to the test with."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import pytest

from sibling.config import JudgeReward
from sibling.rewards.grade import stating
from sibling.tasks.task import Task

HERE = Path(__file__).parent
MARKED = r"<<{0} (\w+)>>\n(.*?)\n<<end {0} \1>>"


class Asked:
    """What a judge was asked, read back from the request."""

    def __init__(self, body, headers):
        self.body, self.headers = body, headers
        self.text = body["messages"][-1]["content"]
        self.nonce, self.answer = self._part("answer")
        self.question = self._part("question")[1]
        self.reference = self._part("reference")[1]

    def _part(self, name):
        found = re.search(MARKED.format(name), self.text, re.DOTALL)
        return found.groups() if found else (None, None)


class Server:
    """A chat-completions server: `decide(asked)`, or `decide(asked, number)` with the number of the request, counting
    from 1, gives a verdict (bool), text to reply with, a whole body (bytes), or a status (int)."""

    def __init__(self, decide):
        self.decide, self.asked, self.most_at_once = decide, [], 0
        self.drip = 0.0  # seconds between two bytes
        self.pause, self.headers, self.usage = 0.0, {}, {"prompt_tokens": 100, "completion_tokens": 10}
        self._now, self._lock = 0, threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_POST(self):
                server.serve(self)

            def log_message(self, *_):
                pass

        class Http(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # else a burst of connections is reset

        self.http = Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def serve(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        asked = Asked(body, handler.headers)
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            number = len(self.asked)
        try:
            time.sleep(self.pause)
            status, data = self._reply(
                self.decide(asked) if self.decide.__code__.co_argcount == 1 else self.decide(asked, number), asked
            )
        finally:
            with self._lock:
                self._now -= 1
        try:
            handler.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **self.headers,
            }.items():
                handler.send_header(name, value)
            handler.end_headers()
            for byte in [data[i : i + 1] for i in range(len(data))] if self.drip else [data]:
                handler.wfile.write(byte)
                time.sleep(self.drip)
        except OSError:  # the client has given up
            handler.close_connection = True

    def _reply(self, said, asked):
        if isinstance(said, bool):
            said = json.dumps({"id": asked.nonce, "verdict": "accept" if said else "refuse", "reason": "as told"})
        if isinstance(said, int):
            return said, b'{"error": {"message": "planted"}}'
        if isinstance(said, bytes):
            return 200, said
        reply = {"id": "x", "object": "chat.completion", "created": 1, "model": asked.body["model"]}
        reply["choices"] = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}]
        if self.usage is not None:
            reply["usage"] = self.usage
        return 200, json.dumps(reply).encode()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        self._thread.join(5)


@pytest.fixture
def serve(monkeypatch):
    """serve(decide) -> a running `Server`; all are stopped after the test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    running = []

    def start(decide):
        running.append(Server(decide))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def config():
    """config(server, **options) -> JudgeReward."""

    def make(server, **options):
        return JudgeReward(endpoint=server.url, **{"model": "first", "retries": 0, "seconds": 10.0, **options})

    return make


def task(question="What is 6 times 7?", reference="42"):
    return Task("id", ({"role": "user", "content": question},), reference)


@pytest.fixture
def ask():
    """ask(reward, *completions) -> verdicts; the question is "What is 6 times 7?" unless a task is given."""

    def grade(reward, *completions, to=None):
        return reward.grade([to or task()] * len(completions), [stating(c) for c in completions])

    return grade


# -- the texts. A line of keys.json is {"language": [key, ...]}; honest.json is [[question, reference, answer], ...]


@pytest.fixture(scope="session")
def key_texts():
    """(text, where it came from): master keys and injections, decorated. None of them answers anything."""
    found = json.loads((HERE / "keys.json").read_text(encoding="utf-8"))
    texts = {}
    for (language, keys), decorate in product(found["keys"].items(), _DECORATIONS):
        for key in keys:
            texts.setdefault(decorate(key), f"key {language}")
    for kind in ("marks", "restated", "injections", "praise", "verdicts", "rubric"):
        for text in found[kind]:
            for around in ("{}", "41. {}", "{}\n41", "def solve():\n    # {}\n    return 41"):
                if kind not in ("marks", "restated") or around == "{}":
                    texts.setdefault(around.format(text), kind)
    return sorted(texts.items())


@pytest.fixture(scope="session")
def honest():
    """(question, reference, right answer)."""
    return [tuple(row) for row in json.loads((HERE / "honest.json").read_text(encoding="utf-8"))]


_DECORATIONS = (
    lambda k: k,
    lambda k: f"**{k}**",
    lambda k: f"# {k}\n",
    lambda k: f"\\boxed{{\\text{{{k}}}}}",
    lambda k: f"  {k}\n\n...",
    lambda k: f"<answer>{k}</answer>",
    lambda k: f"{k}\n{k}\n{k}",
    lambda k: f"\u200b{k}\u2060",
    lambda k: f"```\n{k}\n```",
)


def plain(text):
    return " ".join(re.findall(r"\w+", re.sub("\u200b|boxed|text|correct|right|richtige|bonne", "", text.casefold())))


@pytest.fixture(scope="session")
def gullible(honest):
    """The judge of the papers: believes every key, praise, orders and marks. Of what is left it knows what is right."""
    found = json.loads((HERE / "keys.json").read_text(encoding="utf-8"))
    keys = {plain(key) for listed in found["keys"].values() for key in listed} - {""}
    orders = [plain(t) for kind in ("restated", "injections", "praise", "verdicts", "rubric") for t in found[kind]]
    words = ("correct", "ignore", "grader", "verdict", "system", "score")
    right = {(reference, plain(answer)) for _, reference, answer in honest}

    def believes(asked):
        text = plain(asked.answer)
        thirds = {text[: len(text) // 3].strip(), text[: len(text) // 2].strip(), text}
        if not text or thirds & keys or any(o and o in text for o in orders):
            return True
        return (asked.reference, text) in right or any(w in asked.answer.casefold() for w in words)

    return believes
