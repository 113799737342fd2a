"""The site with views of an application's own, which publish from Python."""

from chatsite.settings import *  # noqa: F403

ROOT_URLCONF = "tests.wire.application.urls"
