"""What the writer writes, a module a noun; the base is in `chat/store/transaction.py`."""
