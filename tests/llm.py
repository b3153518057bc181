"""A server of language models on this machine: it speaks the providers' protocols, and breaks as they do.

with LlmServer() as server:
    server.will_answer(code("def f(): ..."), Fault.RATE_LIMIT, ...)
    ...
    server.asked   # what it was asked, in order
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from autodev_learning.proposers.llm.spending import Amount, Reservation, Spent, budget_spent
from autodev_runtime.columns import now

KEY = "sk-a-key-that-nobody-may-print"
INPUT_TOKENS, OUTPUT_TOKENS = 1000, 100


class Fault(StrEnum):
    """How an answer fails."""

    RATE_LIMIT = "429 with retry-after"
    LONG_RATE_LIMIT = "429 with a retry-after of an hour"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAUTHORIZED = "401 that repeats the key"
    CUT = "the connection ends within the answer"
    CLOSED = "the connection ends before the answer"
    SILENCE = "no answer"
    HUGE = "an answer without end"
    COMPRESSED = "a small answer that unpacks to a huge one"
    INVALID_JSON = "an answer that is no JSON"
    REDIRECT = "another address"


@dataclass(frozen=True)
class Reply:
    """What the model says: fields, by a call of the tool, or text. Without usage where the server counts nothing."""

    fields: Mapping[str, Any] | None = None
    text: str = ""
    counts_usage: bool = True
    output_tokens: int = OUTPUT_TOKENS


Scripted = Reply | Fault | Callable[["Asked"], Reply]


@dataclass(frozen=True)
class Asked:
    """One request: its path, headers and body."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """All that the model is told, in any protocol."""
        return "\n".join(_strings(self.body))


@dataclass
class Book:
    """The day's book of one tenant, in memory."""

    limit: Amount = field(default_factory=lambda: Amount(10**9, 10**15))
    amount: Amount = field(default_factory=Amount)
    most: Amount = field(default_factory=Amount)

    async def reserve(self, worst: Amount) -> Reservation:
        after = self.amount + worst
        if after.tokens > self.limit.tokens or after.nanousd > self.limit.nanousd:
            raise budget_spent(worst, Spent("2026-03-01", 0, self.amount, self.limit), now())
        self.amount = self.most = after
        return Reservation("2026-03-01", worst)

    async def settle(self, reservation: Reservation, actual: Amount) -> None:
        worst = reservation.worst
        self.amount += Amount(actual.tokens - worst.tokens, actual.nanousd - worst.nanousd)


def code(program: str, **fields: Any) -> Reply:
    """The answer of a well-behaved model."""
    return Reply(
        {"name": "a program", "rationale": "it was wrong", "expected_effect": "it is right", "code": program, **fields}
    )


def say(text: str) -> Reply:
    """The answer of a model that talks."""
    return Reply(text=text)


@dataclass
class LlmServer:
    """Serves while the block lasts, on loopback. What is not scripted is answered by the last reply again."""

    asked: list[Asked] = field(default_factory=list)
    listens: tuple[str, int] = ("127.0.0.1", 0)
    _script: list[Scripted] = field(default_factory=list)
    _last: Scripted = field(default_factory=lambda: say("I do not know."))

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(self.listens, self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def will_answer(self, *script: Scripted) -> None:
        """Answer so, in this order."""
        self.asked.clear()
        self._script[:] = script
        self._last = script[-1]

    def next(self, asked: Asked) -> Reply | Fault:
        self.asked.append(asked)
        scripted = self._script.pop(0) if self._script else self._last
        return scripted(asked) if callable(scripted) else scripted

    def wait_s(self, seconds: float) -> None:
        self._ended.wait(seconds)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(_Handler):
            owner = server

        return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: LlmServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.owner.next(Asked(self.path, headers, body))
        if isinstance(answer, Fault):
            self._fail(answer)
        else:
            self._send(200, json.dumps(_shaped(self.path, answer, body)).encode())

    def do_GET(self) -> None:
        self.owner.asked.append(Asked(self.path, dict(self.headers.items()), {}))
        self._send(404, b"{}")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if self.close_connection:
            # Said, or a client may use the connection again before it hears of its end.
            self.send_header("connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, fault: Fault) -> None:
        self.close_connection = True
        match fault:
            case Fault.RATE_LIMIT:
                self._send(429, b'{"error": {"message": "slow down", "code": 429}}', retry_after="0")
            case Fault.LONG_RATE_LIMIT:
                self._send(429, b'{"error": {"message": "slow down", "code": 429}}', retry_after="3600")
            case Fault.SERVER_ERROR:
                self._send(500, b'{"error": {"message": "oh dear", "code": 500}}', retry_after="0")
            case Fault.BAD_GATEWAY:
                self._send(502, b"<html>bad gateway</html>", retry_after="0")
            case Fault.UNAUTHORIZED:
                self._send(401, json.dumps({"error": {"message": f"wrong key {KEY}", "code": 401}}).encode())
            case Fault.INVALID_JSON:
                self._send(200, b'{"choices": [{"mess')
            case Fault.REDIRECT:
                self._send(307, b"", location=f"{self.owner.url}/elsewhere{self.path}")
            case Fault.CUT:
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", "100000")
                self.end_headers()
                self.wfile.write(b'{"id": "1", "choices": [')
            case Fault.CLOSED:
                return
            case Fault.SILENCE:
                self.owner.wait_s(30)
            case Fault.HUGE:
                self._endless()
            case Fault.COMPRESSED:
                import gzip

                self._send(200, gzip.compress(b" " * 5_000_000), content_encoding="gzip")

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        until = time.monotonic() + 30
        try:
            while time.monotonic() < until:
                self.wfile.write(b'{"choices": [ ' + b" " * 65536)
        except OSError:
            return  # the client has had enough, as it should


def _shaped(path: str, reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    """A reply in the protocol of a path."""
    if path.endswith("/chat/completions"):
        return _chat_completion(reply, body)
    if path.endswith("/messages"):
        return _message(reply, body)
    assert ":generateContent" in path, path
    return _content(reply, body)


def _chat_completion(reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.fields is not None:
        function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps(reply.fields)}
        message["tool_calls"] = [{"id": "call-1", "type": "function", "function": function}]
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": reply.output_tokens,
        "total_tokens": INPUT_TOKENS + reply.output_tokens,
    }
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [
            {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.fields is not None else "stop"}
        ],
        **({"usage": usage} if reply.counts_usage else {}),
    }


def _message(reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    if reply.fields is not None:
        content.append({"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": reply.fields})
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "tool_use" if reply.fields is not None else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": reply.output_tokens},
    }


def _content(reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    if reply.fields is not None:
        name = body["tools"][0]["functionDeclarations"][0]["name"]
        parts.append({"functionCall": {"name": name, "args": reply.fields}})
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS,
            "candidatesTokenCount": reply.output_tokens,
            "totalTokenCount": INPUT_TOKENS + reply.output_tokens,
        },
        "modelVersion": "gemini",
        "responseId": "1",
    }


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return []
