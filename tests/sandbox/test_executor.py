"""The HTTP client against a real server on this machine that runs programs in our own sandbox."""

import base64
import http.server
import json
import threading
from pathlib import Path

import pytest

from sibling.errors import RequestError, RunError
from sibling.sandbox.executor import Executor, Local, Remote, answer
from sibling.sandbox.levels import Level
from sibling.sandbox.limits import Limits
from sibling.sandbox.run import Sandbox

ATTACKS = Path(__file__).with_name("attacks.py")
LIMITS = Limits(seconds=10, output_bytes=1000)


class Service(http.server.BaseHTTPRequestHandler):
    sandbox: Sandbox
    reply: tuple[int, bytes] | None = None
    asked: list[str]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(f"{self.path} {self.headers['Authorization']}")
        status, data = self.reply or (200, self.run(json.loads(body)))
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(data)

    def run(self, order):
        running = self.sandbox.start(
            order["entry"], base64.b64decode(order["payload"]), limits=Limits(**order["limits"])
        )
        return json.dumps(answer(running.wait())).encode()

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    with Sandbox([ATTACKS], level=Level.limits) as sandbox:
        handler = type("Handler", (Service,), {"sandbox": sandbox, "asked": []})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            yield handler, f"http://127.0.0.1:{server.server_port}/code", sandbox
            server.shutdown()
            thread.join()


def payload(name, *args):
    return json.dumps({"name": name, "args": args}).encode()


def test_a_program_ends_the_same_way_here_and_there(service):
    handler, url, sandbox = service
    for name, args in (
        ("print_both", ("é", "err")),
        ("leave", (3,)),
        ("flood", ()),
        ("die", (9,)),
        ("touch", (4 << 30,)),
    ):
        ends = []
        executors: list[Executor] = [Local(sandbox), Remote(url, token="word")]
        for executor in executors:
            ended = executor.run("attacks", payload(name, *args), LIMITS)
            ends.append((ended.how, ended.code, ended.signal, ended.stdout, ended.stderr))
            assert ended.seconds > 0 and ended.peak_memory > 0
        assert ends[0] == ends[1]
    assert handler.asked == ["/code/run Bearer word"] * 5


GOOD = {"how": "exited", "code": 0, "signal": None, "stdout": "", "stderr": "", "seconds": 0.1, "peak_memory": None}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"out of machines", "status 500: out of machines"),
        (302, b"", "status 302"),
        (200, b"", "not one"),
        (200, b"[" * 2000, "not one"),
        (200, b"null", "not one"),
        (200, b"{}", "KeyError: 'how'"),
        (200, json.dumps(GOOD | {"how": "won"}).encode(), "another type"),
        (200, json.dumps(GOOD | {"code": True}).encode(), "another type"),
        (200, json.dumps(GOOD | {"code": None}).encode(), "`code`"),
        (200, json.dumps(GOOD | {"seconds": float("nan")}).encode(), "not a time"),
        (200, json.dumps(GOOD | {"stdout": "#"}).encode(), "base64"),
        (200, b"x" * 200_000, "an answer of more than"),
    ],
)
def test_a_service_that_fails_is_an_error_not_an_end(service, status, body, said):
    handler, url, _ = service
    handler.reply = (status, body)
    with pytest.raises(RunError, match="did not run the program") as raised:
        Remote(url).run("attacks", b"", LIMITS)
    assert said in str(raised.value)
    handler.reply = (200, json.dumps(GOOD).encode())
    assert Remote(url).run("attacks", b"", LIMITS).code == 0


def test_a_service_that_is_late_or_not_there():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RunError, match="TimeoutError"):
            Remote(url, patience=0.1).run("attacks", b"", Limits(seconds=0.1))
    with pytest.raises(RunError, match="ConnectionRefused"):
        Remote(url).run("attacks", b"", LIMITS)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "http://example.org", "https://", "http://u:p@127.0.0.1", "http://127.0.0.1/?x", "x"]
)
def test_urls_that_will_not_do(url):
    with pytest.raises(RequestError):
        Remote(url)
