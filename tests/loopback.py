"""An OpenAI-compatible server on loopback whose answers come from the simulator."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dspy.lm15 import request_from_openai_chat

from pld_dspy.rehearsal import rehearsal_lm


@contextlib.contextmanager
def openai_server(logprobs: dict | None = None) -> Iterator[tuple[str, list[dict]]]:
    """Yields the address and the bodies of the requests so far. Every answer has the given `logprobs`."""
    engine, bodies = rehearsal_lm().engine, []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append({"path": self.path, "authorization": self.headers.get("Authorization"), **body})
            response = engine.complete(request_from_openai_chat(body))
            message = {"role": "assistant", "content": response.text}
            reply = {
                "id": f"chat-{len(bodies)}",
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
            content = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def embeddings_server(*statuses):
    """A server of OpenAI's embeddings on loopback: its address, and the requests so far. It fails as it is told."""
    requests, left = [], list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, "authorization": self.headers.get("Authorization"), **body})
            status = left.pop(0) if left else 200
            rows = [
                {"object": "embedding", "index": number, "embedding": [float(len(text)), 1.0]}
                for number, text in enumerate(body["input"])
            ]
            reply = {"object": "list", "model": body["model"], "data": rows}
            reply["usage"] = {"prompt_tokens": 1, "total_tokens": 1}
            content = json.dumps(reply if status == 200 else {"error": {"message": f"it is {status}"}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1", requests
    finally:
        http.shutdown()
        http.server_close()
