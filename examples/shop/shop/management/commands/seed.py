from django.core.management.base import BaseCommand

from shop.models import Person, Product

PRODUCTS = ("Coffee, 1 kg", "Green tea, 100 g", "Teapot")


class Command(BaseCommand):
    help = "Makes a customer, ada, one of the staff, bob, and products."

    def add_arguments(self, parser):
        parser.add_argument("password", help="of both")

    def handle(self, *, password, **options):
        for name, is_staff in (("ada", False), ("bob", True)):
            person, _ = Person.objects.get_or_create(
                username=name, defaults={"first_name": name.title(), "is_staff": is_staff}
            )
            person.set_password(password)
            person.save()
        for name in PRODUCTS:
            Product.objects.get_or_create(name=name)
