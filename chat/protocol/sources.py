"""Where a request came from, as backend events say it (protocol.md section 16). Only a shape."""

from typing import Literal

from msgspec import Struct

Trigger = Literal["client.websocket", "client.http", "server.http", "server.python"]


class Source(Struct, frozen=True, gc=False):
    """The door that a request came through and who knocked; "" is what there is none of."""

    trigger: Trigger
    connection_id: str = ""
    address: str = ""
    user_agent: str = ""
