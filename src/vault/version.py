"""Which release this is."""

from importlib.metadata import version

VERSION = version("health-vault")
COMMIT_DATE = "2026-11-25T00:00:00Z"  # of the release; seal-status tells it
