"""Longest-prefix routing of a path to its mount. An immutable value: a change of the mount table makes a new router."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vault.logical.mount import Mount


@dataclass(frozen=True, slots=True)
class Router:
    """Mounts by path; every path ends with a slash."""

    mounts: Mapping[str, Mount]

    @classmethod
    def build(cls, mounts: Iterable[Mount]) -> "Router":
        """Return the router of a mount table."""
        return cls({mount.path: mount for mount in mounts})

    def find(self, path: str) -> Mount | None:
        """Return the mount with the longest path that the given path starts with. `secret` finds `secret/` as well."""
        end = len(path)
        candidate = path if path.endswith("/") else path + "/"
        while True:
            mount = self.mounts.get(candidate)
            if mount is not None:
                return mount
            end = path.rfind("/", 0, end)
            if end < 0:
                return None
            candidate = path[: end + 1]

    def find_conflict(self, path: str) -> Mount | None:
        """Return a mount that the given mount path would shadow, be shadowed by, or nest into."""
        above = self.find(path)
        if above is not None:
            return above
        return next((mount for place, mount in self.mounts.items() if place.startswith(path)), None)
