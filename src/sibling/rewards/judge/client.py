"""One judge at an OpenAI-compatible endpoint: a question out, an opinion or a failure back, never an exception.

The package `openai` sends, waits and retries (exponential backoff; `Retry-After` up to two minutes). Around it: a bound
on the whole of one question, for servers that send a byte at a time; one more try where a reply cannot be read; and a
stop: after as many failures in a row as there are requests at once (at least four), the rest of the batch is given up
without asking, so that a dead endpoint costs a batch minutes, not hours. The next batch asks again.
Not covered: the endpoint is trusted with what it is sent, and a reply is read whole before it is found too long.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sibling.rewards.judge import prompt as prompts
from sibling.rewards.judge.prompt import Prompt
from sibling.rewards.judge.statistics import Statistics
from sibling.rewards.judge.verdict import Opinion, one_line, read

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MOST_TOKENS = 1024
"""Tokens a judge may write: room for a short thought and the verdict."""
_BACKOFF = 10.0  # seconds allowed between two tries; the client's own backoff ends at 8
_MARGIN = 1.0  # seconds beyond all tries and pauses
_OF_ONE_QUESTION = frozenset((400, 413, 422))  # states that say nothing about the next question: too long, for one
_LEAST_FAILURES = 4


@dataclass(frozen=True)
class Endpoint:
    """Where a judge answers, under which name, and the key it wants."""

    url: str
    model: str
    key: str


@dataclass(frozen=True)
class Effort:
    """How hard to try: requests at once, retries of one question, seconds of one request."""

    concurrency: int
    retries: int
    seconds: float


@dataclass(frozen=True)
class Failure:
    """No opinion: the endpoint failed (`endpoint`), or its reply could not be read twice (`unreadable_verdict`)."""

    code: str
    reason: str


class Line:
    """The way to one judge during one batch, to be closed after it.

    `slots` bounds the requests at once and may be shared by several lines.
    """

    def __init__(self, endpoint: Endpoint, effort: Effort, slots: asyncio.Semaphore, counts: Statistics) -> None:
        self._endpoint, self._effort, self._slots, self._counts = endpoint, effort, slots, counts
        self._client: AsyncOpenAI | None = None
        self._in_a_row = 0  # failures since the last reply

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def ask(self, prompt: Prompt) -> tuple[Opinion | Failure, float]:
        """What the judge says, and the seconds it took (waiting for a free slot left out)."""
        async with self._slots:
            start = time.perf_counter()
            said = await self._say(prompt.messages)
            if isinstance(said, str) and read(said, prompt.nonce) is None:
                self._counts.count("asked_again")
                said = await self._say(prompts.again(prompt))
            seconds = time.perf_counter() - start
        if isinstance(said, Failure):
            return said, seconds
        opinion = read(said, prompt.nonce)
        unreadable = Failure("unreadable_verdict", f"{self._endpoint.model} replied {one_line(said)[:80]!r}")
        return opinion or unreadable, seconds

    async def _say(self, messages: Sequence[Mapping[str, str]]) -> str | Failure:
        """The text of the judge's reply, "" where there is none in it."""
        if self._in_a_row >= max(_LEAST_FAILURES, self._effort.concurrency):
            return Failure("endpoint", f"not asked: {self._in_a_row} questions in a row failed")
        self._counts.count("calls")
        effort = self._effort
        try:
            async with asyncio.timeout(effort.seconds + effort.retries * (effort.seconds + _BACKOFF) + _MARGIN):
                body = await self._send(messages)
        except Exception as failure:  # of the client, the network or the server; each means no opinion
            self._in_a_row += getattr(failure, "status_code", None) not in _OF_ONE_QUESTION
            return Failure("endpoint", f"{self._endpoint.model}: {_what_happened(failure)}")
        self._in_a_row = 0
        return self._text_of(body)

    async def _send(self, messages: Sequence[Mapping[str, str]]) -> str:
        if self._client is None:
            self._client = self._connect()
        response = await self._client.chat.completions.with_raw_response.create(
            model=self._endpoint.model,
            messages=cast(Any, [dict(m) for m in messages]),  # the package has a type for each role
            temperature=0,
            max_tokens=MOST_TOKENS,
        )
        return response.text

    def _connect(self) -> AsyncOpenAI:
        import openai

        return openai.AsyncOpenAI(
            base_url=self._endpoint.url,
            api_key=self._endpoint.key,
            timeout=self._effort.seconds,
            max_retries=self._effort.retries,
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": [self._count_request]}),
        )

    async def _count_request(self, _: object) -> None:
        self._counts.count("requests")

    def _text_of(self, body: str) -> str:
        """The first choice's text. What is not a chat completion is read as an empty reply."""
        try:
            found = json.loads(body)
            text = found["choices"][0]["message"]["content"]
        except (ValueError, RecursionError, KeyError, IndexError, TypeError):
            return ""
        self._tokens(found.get("usage"))
        return text if isinstance(text, str) else ""

    def _tokens(self, usage: Any) -> None:
        stated = usage if isinstance(usage, dict) else {}
        read_in, written = stated.get("prompt_tokens"), stated.get("completion_tokens")
        if type(read_in) is int and type(written) is int and read_in >= 0 and written >= 0:
            self._counts.count("tokens_in", read_in)
            self._counts.count("tokens_out", written)
        else:
            self._counts.count("without_usage")


def _what_happened(failure: Exception) -> str:
    import openai

    if isinstance(failure, openai.APIStatusError):
        return f"status {failure.status_code}: {one_line(failure.message)[:120]}"
    if isinstance(failure, openai.APITimeoutError | TimeoutError):
        return "no answer in time"
    return f"{type(failure).__name__}: {one_line(str(failure))[:120]}"
