"""Which tenant a request belongs to. Decoded once, into the request; nothing else looks at headers or prefixes for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """A tenant: own mounts, policies, tokens and keys. `path` is empty for the root realm, else ends with a slash."""

    id: str
    path: str


ROOT_REALM = Realm(id="root", path="")
