"""The admin shows what is stored. Moderators may delete messages and storage entries, close
connections, cancel schedules and deliver backend events again; nothing else changes here."""

from . import channels, connections, messages, waiting

__all__ = ["channels", "connections", "messages", "waiting"]
