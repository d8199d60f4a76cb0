"""A chat completions server of the standard library, which answers as a test says: well, badly, late or not at all."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


Fault = Callable[["Handler"], bool]  # answers in place of the server, and says whether it has


def completion(text: str = "B", top: dict[str, float] | None = None, **keys: Any) -> dict[str, Any]:
    """A chat completion as the API describes it; `top` are the alternatives of its only token, `text`."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    if top is not None:
        listed = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in top.items()]
        choice["logprobs"] = {
            "content": [{"token": text, "logprob": top[text], "bytes": None, "top_logprobs": listed}]
        }

    usage = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
        **keys,
    }


@dataclass
class ChatServer:
    """What a server does, and what it has seen.

    Attributes:
        url: without `/v1`.
        answer: the completion to a request.
        faults: of the next requests, in their order; None for a good answer.
        seconds: that an answer takes.
        requests: all bodies, in order.
        keys: all `Authorization` headers.
        most: how many requests were under way at once.
    """

    url: str = ""
    answer: Callable[[dict[str, Any]], Any] = lambda request: completion()
    faults: list[Fault | None] = field(default_factory=list)
    seconds: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def prompts(self) -> list[str]:
        """The messages of all requests, as JSON."""
        return [json.dumps(request["messages"]) for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    state: ChatServer

    def do_POST(self) -> None:  # noqa: N802
        """Answer."""
        state, length = self.state, int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the client was killed while it asked
            return

        with state._lock:
            state.requests.append(json.loads(body))
            state.keys.add(self.headers["Authorization"])
            fault = state.faults.pop(0) if state.faults else None
            state._now += 1
            state.most = max(state.most, state._now)

        try:
            time.sleep(state.seconds)
            if self.path != "/v1/chat/completions":
                self.send(404, {"error": {"message": "no such path"}})
            elif fault is None or not fault(self):
                self.send(200, state.answer(json.loads(body)))
        except (BrokenPipeError, ConnectionResetError):  # the client is gone
            pass
        finally:
            with state._lock:
                state._now -= 1

    def send(self, status: int, content: Any, **headers: str) -> None:
        """Send JSON, or bytes as they are."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)

        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def refuse(status: int, message: str, **headers: str) -> Fault:
    """An error of the API."""

    def fault(handler: Handler) -> bool:
        handler.send(status, {"error": {"message": message, "type": "invalid_request_error"}}, **headers)
        return True

    return fault


def say(data: bytes | dict[str, Any]) -> Fault:
    """A reply of status 200 that says something else."""

    def fault(handler: Handler) -> bool:
        handler.send(200, data)
        return True

    return fault


def break_off(handler: Handler) -> bool:
    """Half of a reply, and a closed connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"id": "1", "choices": [')
    handler.close_connection = True
    return True


def hang(seconds: float) -> Fault:
    """No reply for so long; then a good one."""

    def fault(handler: Handler) -> bool:
        time.sleep(seconds)
        return False

    return fault


@contextmanager
def chat_server(**keys: Any) -> Iterator[ChatServer]:
    """A running server."""
    state = ChatServer(**keys)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
