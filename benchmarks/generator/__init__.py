"""The load generator: raw sockets in one process, which costs a fraction of what servers cost."""
