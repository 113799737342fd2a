from django.contrib.auth.mixins import UserPassesTestMixin
from django.views.generic import CreateView, DetailView, ListView, UpdateView

from .models import Order

NEWEST = 100


class VisibleOrders:
    def get_queryset(self):
        orders = Order.objects.visible_to(self.request.user)
        return orders.select_related("customer", "product")


class OrderList(VisibleOrders, ListView):
    def get_queryset(self):
        return super().get_queryset()[:NEWEST]


class OrderPage(VisibleOrders, DetailView):
    pass


class PlaceOrder(CreateView):
    model = Order
    fields = ("product", "quantity")

    def form_valid(self, form):
        form.instance.customer = self.request.user
        return super().form_valid(form)


class ChangeState(UserPassesTestMixin, UpdateView):
    http_method_names = ("post",)
    model = Order
    fields = ("state",)
    template_name = "shop/order_detail.html"

    def test_func(self):
        return self.request.user.is_staff
