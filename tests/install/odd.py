"""A project that is unlike what `startproject` makes: without admin, users, sessions, templates and
static files, with its rows of the chat in a database of their own."""

FILES = {
    "manage.py": """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "odd.configuration"
execute_from_command_line(sys.argv)
""",
    "odd/__init__.py": "",
    "odd/configuration.py": """
SECRET_KEY = KEY[::-1]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "odd.addresses"
ASGI_APPLICATION = "odd.asgi.application"
INSTALLED_APPS = ["tokens", "chat"]
MIDDLEWARE = ["odd.pages.marked"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "own.sqlite3"},
    "events": {"ENGINE": "django.db.backends.postgresql", **EVENTS},
}
CHAT = {"DATABASE": "events", "ALLOWED_ORIGINS": ["https://app.example.org"]}
TOKENS = {"SIGNING_KEY_1_METHOD": "HS256", "SIGNING_KEY_1_ENCODED": KEY, "API_SECRET_KEY_1": KEY}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "own.log"}},
    "root": {"handlers": ["file"], "level": "INFO"},
}
""",
    "odd/addresses.py": """
from django.urls import include, path
from odd.pages import page
urlpatterns = [path("page", page), path("of/channels/", include("chat.urls"))]
""",
    "odd/asgi.py": """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "odd.configuration"
from chat.asgi import get_asgi_application
async def own(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "own"})
application = get_asgi_application(own)
""",
    "odd/pages.py": """
import logging
from chat import api
from django.db import transaction
from django.http import HttpResponse
def marked(get_response):
    def respond(request):
        response = get_response(request)
        response["x-marked"] = "yes"
        return response
    return respond
def page(request):
    logging.getLogger("odd").info("asked for %s", request.get_full_path())
    with transaction.atomic(using="events"):
        api.publish("news", "seen", request.GET["colour"])
    return HttpResponse("seen")
""",
}
