from django.urls import path

from . import views

urlpatterns = [
    path("", views.demo),
    path("connection/<str:operation>", views.client_operation),
]
