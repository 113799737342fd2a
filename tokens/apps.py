from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class TokensConfig(AppConfig):
    name = "tokens"
    verbose_name = "Tokens"

    def ready(self) -> None:
        from tokens import checks, conf

        if problem := checks.hidden_problem():  # before anything is imported of the wrong one
            raise ImproperlyConfigured(problem)
        # Now: a test runner switches DEBUG off, and a project's tests need its development keys.
        conf.conf.current()
