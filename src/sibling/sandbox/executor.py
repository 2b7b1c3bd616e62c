"""Programs on another machine: what an executor is, and a small HTTP client for one.

The client posts one JSON object to `URL/run` for each program and gets one back:
request  {"entry": str, "payload": base64, "limits": {the fields of `Limits`}}
answer   {"how": str, "code": int | null, "signal": int | null, "stdout": base64, "stderr": base64, "seconds": float,
          "peak_memory": int | null}
with status 200, whatever became of the program. Any other status is a failure of the service, never of the program.
Covered: the answer is read up to a bound and within a bound of time, and every field of it is checked; no redirect is
followed, no proxy is used; a token is sent over HTTPS or to this machine alone.
Not covered: how well the service confines a program. It is as trusted as the verdicts have to be.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import ipaddress
import json
from dataclasses import asdict
from typing import Any, Protocol, get_args, get_type_hints
from urllib.parse import urlsplit

from sibling.errors import RequestError, RunError
from sibling.sandbox.limits import Limits
from sibling.sandbox.run import Ended, Sandbox

_REST = 1 << 16  # bytes of an answer beside the outputs
_HOWS: tuple[str, ...] = get_args(get_type_hints(Ended)["how"])


class Executor(Protocol):
    """Anything that runs a program to its end: here, on another machine, in a service. Called from many threads."""

    def run(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        """Run `main(payload, [])` of the entry within the limits. Raises `RunError` if it could not be run."""
        ...


class Local:
    """The executor of this machine: a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def run(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        """Start the program in the sandbox and wait for its end."""
        return self._sandbox.start(entry, payload, limits=limits).wait()


class Remote:
    """An executor behind HTTP.

    Arguments: the service's `url` (https, or http to this machine); a `token` for `Authorization: Bearer`;
    `patience`, seconds that may pass beside the program's own wall time (queueing, transfer). Raises `RequestError`
    for a URL that will not do.
    """

    def __init__(self, url: str, *, token: str | None = None, patience: float = 30.0) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not self._host or parts.query or parts.fragment or parts.username:
            raise RequestError("This is not the URL of an executor", seen=url, wanted="https://HOST[:PORT][/PATH]")
        if parts.scheme == "http" and not _here(self._host):
            raise RequestError("An executor on another machine has to be reached over https", seen=url)
        self._secure, self._port = parts.scheme == "https", parts.port
        self._path = parts.path.rstrip("/") + "/run"
        self._patience, self._url = patience, url
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def run(self, entry: str, payload: bytes, limits: Limits) -> Ended:
        """Have one program run. Raises `RunError` if the service fails, is late, or answers something else."""
        body = json.dumps({"entry": entry, "payload": _text(payload), "limits": asdict(limits)})
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=limits.seconds + self._patience)
        try:
            connection.request("POST", self._path, body, self._headers)
            most = limits.output_bytes * 4 // 3 + _REST
            with connection.getresponse() as response:
                status, data = response.status, response.read(most + 1)
        except (OSError, http.client.HTTPException) as failure:
            raise self._failure(f"{type(failure).__name__}: {failure}") from failure
        finally:
            connection.close()
        if status != http.HTTPStatus.OK:
            raise self._failure(f"status {status}: {data[:300].decode('utf-8', 'replace')}")
        if len(data) > most:
            raise self._failure(f"an answer of more than {most} bytes")
        return self._ended(data)

    def _ended(self, data: bytes) -> Ended:
        try:
            answer = json.loads(data)
            return _checked(answer)
        except (ValueError, KeyError, TypeError, RecursionError) as failure:
            raise self._failure(f"an answer that is not one ({type(failure).__name__}: {failure})") from failure

    def _failure(self, seen: str) -> RunError:
        return RunError(
            "The remote executor did not run the program",
            seen=f"{self._url}: {seen}",
            do="Check that the service runs and speaks the format in `sibling.sandbox.executor`.",
        )


def answer(ended: Ended) -> dict[str, Any]:
    """What a service answers with: the end of a program as a JSON object."""
    return asdict(ended) | {"stdout": _text(ended.stdout), "stderr": _text(ended.stderr)}


def _checked(answer: Any) -> Ended:
    how, seconds = answer["how"], answer["seconds"]
    numbers = [answer[name] for name in ("code", "signal", "peak_memory")]
    if how not in _HOWS or any(not isinstance(n, int | None) or isinstance(n, bool) for n in numbers):
        raise ValueError("a field has another type")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
        raise ValueError("`seconds` is not a time")
    if (how == "exited") != (numbers[0] is not None):
        raise ValueError("`code` is given if and only if it exited")
    return Ended(how, numbers[0], numbers[1], _bytes(answer["stdout"]), _bytes(answer["stderr"]), seconds, numbers[2])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as failure:
        raise ValueError(f"not base64: {failure}") from failure


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
