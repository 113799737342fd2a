"""What the ASGI servers do differently: all that design.md section 5 does not promise on daphne.

`manage.py runserver` is daphne.
"""

from tests.support.servers import Server

FIRST_OWN_CODE = 3000


def close_code(server: Server, code: int) -> int:
    """daphne refuses to send the codes below 3000 that an endpoint may not choose itself: 1000."""
    return code if server.kind == "uvicorn" or code >= FIRST_OWN_CODE else 1000


def handshake_status(server: Server, status: int) -> int:
    """daphne has no extension for answering a handshake over HTTP: always 403."""
    return status if server.kind == "uvicorn" else 403


def answers_handshakes(server: Server) -> bool:
    """Whether a refused handshake has a body of ours (see `handshake_status`)."""
    return server.kind == "uvicorn"


def longest_token(server: Server) -> int:
    """In bytes: 64 KiB (protocol.md section 3), of which 8 are promised on daphne, since Twisted,
    below it, reads no longer request line than 16 KiB."""
    return 64 * 1024 if server.kind == "uvicorn" else 8 * 1024


def logs_queries(server: Server) -> bool:
    """daphne's own access log has each request's whole address, with the query of HTTP calls."""
    return server.kind != "uvicorn"
