"""Measures our server and the real `bao` side by side. Run it with `make bench`."""
