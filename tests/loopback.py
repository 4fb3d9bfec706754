"""OpenAI-compatible servers on loopback."""

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dspy.lm15 import request_from_openai_chat

from pld_dspy.rehearsal import rehearsal_lm


@contextlib.contextmanager
def served(answer: Callable[[dict], tuple[int, dict]]) -> Iterator[tuple[str, list[dict]]]:
    """Yields the address of a server, and the requests so far; `answer` makes a status and a reply of a request."""
    requests: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or every reply waits 40 ms for an acknowledgement

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, "authorization": self.headers.get("Authorization"), **body})
            status, reply = answer(body)
            content = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()


def openai_server(
    logprobs: dict | None = None, refused: Callable[[int], int | None] = lambda number: None
) -> contextlib.AbstractContextManager[tuple[str, list[dict]]]:
    """A chat model whose answers come from the simulator. Every answer has the given `logprobs`.

    `refused` gives the status with which a request is refused, by its number from 0 on; None where it is answered.
    """
    engine, numbers = rehearsal_lm().engine, itertools.count()

    def answer(body: dict) -> tuple[int, dict]:
        if (status := refused(next(numbers))) is not None:
            return status, {"error": {"message": f"it is {status}"}}
        response = engine.complete(request_from_openai_chat(body))
        message = {"role": "assistant", "content": response.text}
        return 200, {
            "id": "chat",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}],
            "usage": {
                "prompt_tokens": response.usage.input_tokens,
                "completion_tokens": response.usage.output_tokens,
                "total_tokens": response.usage.total_tokens,
            },
        }

    return served(answer)


def embeddings_server(*statuses: int) -> contextlib.AbstractContextManager[tuple[str, list[dict]]]:
    """An embedding model: a text's length and 1. It fails first, with the given statuses one after the other."""
    left = list(statuses)

    def answer(body: dict) -> tuple[int, dict]:
        status = left.pop(0) if left else 200
        if status != 200:
            return status, {"error": {"message": f"it is {status}"}}
        rows = [
            {"object": "embedding", "index": number, "embedding": [float(len(text)), 1.0]}
            for number, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return 200, {"object": "list", "model": body["model"], "data": rows, "usage": usage}

    return served(answer)
