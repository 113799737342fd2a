"""The admin shows what is stored. Moderators may delete messages and storage entries, close
connections, revoke tokens, ban, cancel schedules and deliver backend events again; nothing else
changes here."""

from . import audit, channels, connections, live, messages, restrictions, waiting

__all__ = ["audit", "channels", "connections", "live", "messages", "restrictions", "waiting"]
