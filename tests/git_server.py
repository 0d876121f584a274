"""A stand-in for a public Git server: git http-backend behind http.server, which can fail as networks do."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server(ThreadingHTTPServer):
    """Serves the repositories below `root`. Of the answers that carry files, number `broken` (from 0) is cut
    short (`how` is "cut") or has a byte changed ("flip"). `fetches` counts those answers. `pack`, if set, is
    sent in the place of each."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.fetches, self.broken, self.how, self.pack = root, 0, None, "cut", None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/repository"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        path, _, query = self.path.partition("?")
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        broken = False
        if b"packfile\n" in content:
            broken = self.server.fetches == self.server.broken
            self.server.fetches += 1
            if self.server.pack:
                lines = packed(self.server.pack)
                content = b"".join(b"%04x" % (len(line) + 4) + line for line in lines) + b"0000"
        if broken and self.server.how == "flip":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        self.send_response(200)
        for line in head.decode().splitlines():
            name, _, value = line.partition(": ")
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if broken and self.server.how == "cut" else content)

    def log_message(self, *arguments):
        pass


def packed(pack: bytes) -> Iterator[bytes]:
    """The lines of an answer that carry a pack (gitprotocol-v2): channel 1 of the side band."""
    yield b"packfile\n"
    for start in range(0, len(pack), 60_000):
        yield b"\1" + pack[start : start + 60_000]


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    with Server(root) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
