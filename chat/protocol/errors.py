"""What can go wrong, as the wire says it (protocol.md section 17). No Django here."""

from enum import StrEnum


class ErrorCode(StrEnum):
    INVALID_MESSAGE = "INVALID_MESSAGE"
    UNKNOWN_EVENT = "UNKNOWN_EVENT"
    INVALID_CHANNEL_NAME = "INVALID_CHANNEL_NAME"
    INVALID_EVENT_NAME = "INVALID_EVENT_NAME"
    INVALID_STORAGE_KEY = "INVALID_STORAGE_KEY"
    INVALID_REACTION = "INVALID_REACTION"
    INVALID_SCHEDULE_EXPRESSION = "INVALID_SCHEDULE_EXPRESSION"
    DATA_TOO_LARGE = "DATA_TOO_LARGE"
    SUBSCRIBE_PERMISSION_DENIED = "SUBSCRIBE_PERMISSION_DENIED"
    INVALID_SUBSCRIBE_TOKEN = "INVALID_SUBSCRIBE_TOKEN"  # noqa: S105 - an error's name
    ALREADY_SUBSCRIBED = "ALREADY_SUBSCRIBED"
    NOT_SUBSCRIBED = "NOT_SUBSCRIBED"
    PRESENCE_CHANNEL_USER_ID_REQUIRED = "PRESENCE_CHANNEL_USER_ID_REQUIRED"
    PRESENCE_CHANNEL_CAPACITY_REACHED = "PRESENCE_CHANNEL_CAPACITY_REACHED"
    PUBLISH_PERMISSION_DENIED = "PUBLISH_PERMISSION_DENIED"
    REACT_PERMISSION_DENIED = "REACT_PERMISSION_DENIED"
    MESSAGE_NOT_FOUND = "MESSAGE_NOT_FOUND"
    STORAGE_PERMISSION_DENIED = "STORAGE_PERMISSION_DENIED"
    SCHEDULE_PERMISSION_DENIED = "SCHEDULE_PERMISSION_DENIED"
    INFO_PERMISSION_DENIED = "INFO_PERMISSION_DENIED"
    INVALID_UMD_TOKEN = "INVALID_UMD_TOKEN"  # noqa: S105 - an error's name
    UMD_UPDATE_PERMISSION_DENIED = "UMD_UPDATE_PERMISSION_DENIED"
    RATE_LIMITED = "RATE_LIMITED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    # over HTTP only
    INVALID_CONNECTION = "INVALID_CONNECTION"
    INVALID_API_KEY = "INVALID_API_KEY"
    INVALID_REQUEST = "INVALID_REQUEST"


class ProtocolError(Exception):
    """A refusal that its sender is told of; the connection and the data stay as they were.

    `message` is one plain sentence that names the field concerned. `channel` is set where the
    sender is told another channel name than it used.
    """

    def __init__(self, code: ErrorCode, message: str, channel: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.channel = channel

    @property
    def in_full(self) -> str:
        """For the log: the message with what the driver or the system says."""
        cause = self.__cause__
        if cause is None:
            return self.message
        said = " ".join(str(cause).split())
        return f"{self.message} ({said or type(cause).__name__})"


HTTP_STATUS = {  # protocol.md section 14; every other code is a 403
    ErrorCode.INVALID_MESSAGE: 400,
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.UNKNOWN_EVENT: 400,
    ErrorCode.INVALID_CHANNEL_NAME: 400,
    ErrorCode.INVALID_EVENT_NAME: 400,
    ErrorCode.INVALID_STORAGE_KEY: 400,
    ErrorCode.INVALID_REACTION: 400,
    ErrorCode.INVALID_SCHEDULE_EXPRESSION: 400,
    ErrorCode.INVALID_CONNECTION: 401,
    ErrorCode.INVALID_API_KEY: 401,
    ErrorCode.MESSAGE_NOT_FOUND: 404,
    ErrorCode.DATA_TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.SERVICE_UNAVAILABLE: 503,
}


class CloseCode:
    """Why the server ends a connection (protocol.md section 17)."""

    GOING_AWAY = 1001
    TOO_LARGE = 1009
    RESTARTING = 1012
    TRY_AGAIN_LATER = 1013
    REVOKED = 4403
    HEARTBEAT_MISSED = 4408
    TOO_SLOW = 4410
    TOO_FAST = 4429


LOST = 1006  # a connection that ended without a close frame (RFC 6455 section 7.4.1)
CLOSE_REASONS = {CloseCode.GOING_AWAY: "Going away"}  # protocol.md section 6
