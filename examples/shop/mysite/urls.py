from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from shop import views

urlpatterns = [
    path("", views.OrderList.as_view(), name="orders"),
    path("new", views.PlaceOrder.as_view(), name="place"),
    path("orders/<int:pk>", views.OrderPage.as_view(), name="order"),
    path("orders/<int:pk>/state", views.ChangeState.as_view(), name="state"),
    path("login", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("live/", include("chat.urls")),
]
