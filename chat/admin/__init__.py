"""The admin shows what is stored. Moderators may delete messages and storage entries, close
connections, cancel schedules and deliver backend events again; nothing else changes here."""

from . import backend_events, channels, connections, messages, schedules

__all__ = ["backend_events", "channels", "connections", "messages", "schedules"]
