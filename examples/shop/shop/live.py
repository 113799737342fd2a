"""Who may do what in which channel."""

from .models import Order

READ = {"subscribe": True}
CHAT = {
    "subscribe": True,
    "historyStart": 0,
    "messages": {
        "chat": {"publish": True, "echo": True, "store": -1, "react": ["❤️", "👍", "😂"]},
        "hotsock.messageReaction": {"echo": True},
        "is-typing": {"publish": True},
    },
}


def rules(request):
    """Staff all orders, a customer their own."""
    person = request.user
    if person.is_staff:
        return {person.channel: READ, "order-*": CHAT}
    own = Order.objects.visible_to(person)
    return {person.channel: READ} | {order.channel: CHAT for order in own}


def metadata(person):
    name = person.get_full_name() or person.get_username()
    return {"name": f"{name}, support" if person.is_staff else name}
