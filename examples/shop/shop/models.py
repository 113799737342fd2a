from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from chat.rows import publishes


class Person(AbstractUser):
    """A customer or, with `is_staff`, one of the shop's own."""

    @property
    def channel(self):
        """Where the orders are announced that they may see."""
        return "orders" if self.is_staff else f"customer-{self.pk}"


class Product(models.Model):
    name = models.CharField(max_length=100, unique=True)

    def __str__(self):
        return self.name


class OrderQuerySet(models.QuerySet):
    def visible_to(self, person):
        return self if person.is_staff else self.filter(customer=person)


@publishes(
    channel=lambda order: ["orders", f"customer-{order.customer_id}", order.channel],
    fields=["state"],
    template="shop/_order.html",
)
class Order(models.Model):
    class State(models.TextChoices):
        NEW = "new", "New"
        PACKED = "packed", "Packed"
        SHIPPED = "shipped", "Shipped"
        DELIVERED = "delivered", "Delivered"

    customer = models.ForeignKey(Person, models.CASCADE)
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(99)]
    )
    state = models.CharField(max_length=9, choices=State, default=State.NEW)
    placed = models.DateTimeField(auto_now_add=True)
    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self):
        return f"Order {self.pk}"

    def get_absolute_url(self):
        return reverse("order", args=[self.pk])

    @property
    def channel(self):
        """Where it is announced, and its customer chats with support."""
        return f"order-{self.pk}"
