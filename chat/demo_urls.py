"""The chat page and its tokens (protocol.md section 18), for a project that wants to show them."""

from django.urls import path

from chat.http import demo
from chat.http.endpoint import CROSS_ORIGIN
from tokens.views import tokens

CROSS_ORIGIN.add(tokens)

urlpatterns = [
    path("", demo.page, name="demo"),
    path("tokens", tokens, {"admits": demo.admits}),
]
