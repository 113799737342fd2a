"""A user's metadata changes while it is connected (protocol.md section 11)."""

from collections.abc import Iterable

from chat.actions.connections import verified
from chat.protocol.commands import UpdateUmd
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.restrictions import Bearer
from chat.protocol.session import Session
from chat.runtime.metadata import Metadata
from chat.runtime.restrictions import Restrictions, tokens_of
from chat.store.operations import connections as operations
from chat.store.operations.restrictions import Admission
from tokens.claims import Claims
from tokens.permissions import grants


async def update_umd(
    session: Session, command: UpdateUmd, metadata: Metadata, restrictions: Restrictions
) -> str | None:
    """Gives what the token says to a subscription or, without a channel, to the connection.

    Returns the real name of that subscription's channel.

    Raises ProtocolError: INVALID_UMD_TOKEN, UMD_UPDATE_PERMISSION_DENIED, NOT_SUBSCRIBED,
    PRESENCE_CHANNEL_CAPACITY_REACHED, RATE_LIMITED, INVALID_CONNECTION, SERVICE_UNAVAILABLE;
    nothing has changed then.
    """
    claims = verified(command.token, "umd")
    if not session.is_bound(claims):
        raise ProtocolError(
            ErrorCode.INVALID_UMD_TOKEN,
            "The umd token must carry this connection's connectionId or its uid.",
        )
    bearer = Bearer((*tokens_of(session), claims), None, ErrorCode.INVALID_UMD_TOKEN)
    admission = Admission(bearer, restrictions.rules)
    held = metadata.connections.get(session.connection_id)
    if held is None:
        update = _permitted(session, command, claims, admission)
        propagate = update.own and claims.umd_propagate
        await metadata.change_elsewhere(session, update, propagate=propagate)
    else:
        async with held.changing:
            update = _permitted(held.session, command, claims, admission)
            await metadata.change(held.session, update)
    return None if update.own else update.channels[0]


def _permitted(
    session: Session, command: UpdateUmd, claims: Claims, admission: Admission
) -> operations.UpdateUmd:
    channel = None if command.channel is None else session.real_name(command.channel)
    rights = claims if channel is None else grants(claims).channel(channel)
    if not rights.umd_update:
        raise ProtocolError(
            ErrorCode.UMD_UPDATE_PERMISSION_DENIED, "The umd token does not allow this update."
        )
    channels: Iterable[str] = session.subscriptions if claims.umd_propagate else ()
    if channel is not None:
        channels = (session.subscription(channel).channel,)
    return operations.UpdateUmd(
        *(session.connection_id, claims.umd, tuple(channels)),
        own=channel is None,
        admission=admission,
    )
