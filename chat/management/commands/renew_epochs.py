"""`manage.py renew_epochs`: after a restore, nobody recovers from a position of the time before."""

from django.core.management.base import BaseCommand

from chat.models import Channel
from chat.store.epochs import new_epoch


class Command(BaseCommand):
    help = (
        "Gives all channels another epoch, for after the database was restored and before servers"
        " start: clients then read history instead of recovering (docs/decisions/0007)."
    )

    def handle(self, *args: object, **options: object) -> None:
        count = Channel.objects.update(epoch=new_epoch())
        self.stdout.write(f"{count} channels have another epoch.")
