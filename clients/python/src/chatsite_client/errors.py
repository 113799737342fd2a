"""What can go wrong with the server. No message holds a key, a token or a secret."""


class ChatError(Exception):
    """Why the server did not do what it was asked for."""


class Refused(ChatError):
    """The server refused; nothing was done, but for a `status` from 500 up: then it may have been.

    `code` and `message` are those of protocol.md section 17, or `HTTP_502` and the like where
    something else answered. `status` is HTTP's, 0 on a WebSocket. `retry_after`: in how many
    seconds to come back, where the server says so.
    """

    def __init__(
        self, code: str, message: str, status: int = 0, retry_after: float | None = None
    ) -> None:
        super().__init__(code, message, status, retry_after)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Unreachable(ChatError):
    """No answer came in time. Where the request was `sent`, it may have been done."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
