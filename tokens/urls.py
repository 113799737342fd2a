from django.urls import path

from tokens.views import tokens

urlpatterns = [path("tokens", tokens, name="tokens")]
