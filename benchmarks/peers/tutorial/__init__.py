"""The chat of the Channels tutorial on daphne: what most people begin with."""

from .peer import Tutorial

__all__ = ["Tutorial"]
