"""What `make bench` measures; each scenario is the same work for every server."""
