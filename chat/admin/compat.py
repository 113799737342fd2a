"""What the admin of Django 5.2 lacks: there, actions are for lists only."""

from collections.abc import Callable
from typing import Any

import django
from django.contrib import admin


def _more(plural: str) -> dict[str, Any]:
    if django.VERSION < (6, 1):
        return {"description": plural}
    from django.contrib.admin.options import ActionLocation

    places = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]
    return {"description_plural": plural, "location": places}


def action[F: Callable[..., object]](one: str, several: str, permission: str) -> Callable[[F], F]:
    """As `admin.action`, with what it is called for one row and for several."""
    options = {"permissions": [permission], "description": one, **_more(several)}
    decorate: Callable[[F], F] = admin.action(**options)
    return decorate
