from django.test import TestCase
from django.urls import reverse

from chat.testing import PublicationsMixin

from .models import Order, Person, Product


class OrderTests(PublicationsMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada = Person.objects.create_user("ada")
        cls.eve = Person.objects.create_user("eve")
        cls.bob = Person.objects.create_user("bob", is_staff=True)
        cls.tea = Product.objects.create(name="Tea <green>")
        cls.order = Order.objects.create(customer=cls.ada, product=cls.tea)

    def as_(self, person):
        self.client.force_login(person)
        return self.client

    def may_read(self, person, channel):
        answer = self.as_(person).post(reverse("chat:token"), {"channel": channel})
        return answer.status_code == 200

    def test_an_order_is_announced_to_its_customer_and_to_staff(self):
        self.as_(self.eve).post(reverse("place"), {"product": self.tea.pk, "quantity": 2})
        order = Order.objects.get(customer=self.eve)
        for channel in ("orders", self.eve.channel, order.channel):
            told = self.assertPublished(channel, "order.created")
            self.assertIn("2 × Tea &lt;green&gt; for eve", told.data["html"])
        self.assertNotPublished(self.ada.channel)

    def test_staff_change_its_state_and_its_customer_is_told(self):
        answer = self.as_(self.bob).post(
            reverse("state", args=[self.order.pk]), {"state": "packed"}
        )
        self.assertRedirects(answer, self.order.get_absolute_url())
        told = self.assertPublished(self.ada.channel, "order.changed")
        self.assertEqual(told.data["state"], "packed")

    def test_nobody_else_changes_it(self):
        path = reverse("state", args=[self.order.pk])
        self.assertEqual(self.as_(self.ada).post(path, {"state": "packed"}).status_code, 403)
        self.assertEqual(self.as_(self.bob).post(path, {"state": "lost"}).status_code, 200)
        self.assertNotPublished()

    def test_a_customer_sees_no_order_of_others(self):
        self.assertNotContains(self.as_(self.eve).get(reverse("orders")), self.order)
        self.assertEqual(self.client.get(self.order.get_absolute_url()).status_code, 404)
        self.assertContains(self.as_(self.ada).get(reverse("orders")), self.order)
        self.assertContains(self.client.get(self.order.get_absolute_url()), "Tea &lt;green&gt;")

    def test_a_customer_reaches_the_channels_of_own_orders_alone(self):
        self.assertTrue(self.may_read(self.ada, self.order.channel))
        self.assertTrue(self.may_read(self.ada, self.ada.channel))
        for channel in (self.order.channel, self.ada.channel, "orders", "order-*"):
            self.assertFalse(self.may_read(self.eve, channel), channel)
        for channel in (self.order.channel, "orders"):
            self.assertTrue(self.may_read(self.bob, channel), channel)

    def test_who_is_not_logged_in_sees_nothing(self):
        for path in (reverse("orders"), self.order.get_absolute_url()):
            self.assertRedirects(self.client.get(path), f"{reverse('login')}?next={path}")
        self.assertEqual(self.client.post(reverse("chat:token")).status_code, 401)
