"""What is to be done later (protocol.md section 13)."""

from datetime import datetime

from chat.protocol import schedule
from chat.protocol.decoders import MESSAGE_ID
from chat.runtime.node import Node
from chat.store.operations import AddSchedule, CancelSchedule, PublishMessage, SetStorage
from tokens.permissions import MessageRights, StorageRights


async def add_schedule(
    node: Node,
    at: datetime,
    work: PublishMessage | SetStorage,
    rights: MessageRights | StorageRights,
) -> str:
    """Lets `work` be done `at` a moment, as far as `rights` allow; gives the schedule's name.

    Raises ProtocolError: SCHEDULE_PERMISSION_DENIED, INVALID_SCHEDULE_EXPRESSION (it has passed),
    SERVICE_UNAVAILABLE.
    """
    schedule.permit(at, rights.schedule_before)
    return await node.writer.submit(AddSchedule(at, work))


async def cancel_schedule(node: Node, arn: str) -> bool:
    """Whether there was such a schedule, which will not be done now.

    Raises SERVICE_UNAVAILABLE.
    """
    if not MESSAGE_ID.fullmatch(arn):  # PostgreSQL cannot even be asked for every text
        return False
    return await node.writer.submit(CancelSchedule(arn))
