"""How uvicorn runs here: its limits, its log, its shutdown (design.md section 5)."""

import os

# Tokens travel in the query (protocol.md section 3: up to 64 KiB each). Read at import.
os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", "131072")

import uvicorn


def run(host: str, port: int) -> None:
    uvicorn.run(
        "chatsite.asgi:application",
        host=host,
        port=port,
        ws="websockets-sansio",
        ws_max_size=131072,
        ws_per_message_deflate=False,
        ws_ping_interval=10,
        ws_ping_timeout=10,
        h11_max_incomplete_event_size=131072,
        server_header=False,
        timeout_graceful_shutdown=8,
    )
