"""A small service for uvicorn; writes its process id beside itself (APP_PID)."""

import os
from pathlib import Path

Path(os.environ["APP_PID"]).write_text(str(os.getpid()))


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello world\n"})
