"""What an AppRole mount stores: roles, whose role id is whose, secret ids by their keyed hash, accessors of secret ids.

Secret ids lie in the folder of the role's uuid, which a role made anew does not share: those of a deleted role open nothing from the moment
of its deletion. Role ids are found in few rows that hold many of them, so that looking for one that nobody has costs what any other costs.
"""

import hashlib
import hmac
import uuid
from dataclasses import dataclass, field

import msgspec

from vault import limits
from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest
from vault.logical.context import Context
from vault.logical.login import TokenParameters
from vault.storage.view import View

ROLES = "role/"
_ROLE_IDS = "role-id/"
_SECRETS = "secret/"
_ACCESSORS = "accessor/"
_REMOVED = "removed/"  # by uuid, roles whose secret ids are still to be cleared away
_KEY = "key"
REMOVED_PAGE = 250  # secret ids of a deleted role that one transaction deletes
_NOBODY = "nobody"  # in place of a role, where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role as stored. Times are seconds; zero means unset, or without end."""

    name: str
    uuid: str
    role_id: str
    bind_secret_id: bool = True
    secret_id_bound_cidrs: tuple[str, ...] | None = None
    secret_id_num_uses: int = 0
    secret_id_ttl: int = 0
    local_secret_ids: bool = False
    parameters: TokenParameters = field(default_factory=TokenParameters)
    legacy: tuple[str, ...] = ()  # older names that were used to set a field are shown again


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretId:
    """A secret id as stored, without itself. Unlimited uses are None, never zero."""

    accessor: str
    created_ns: int
    updated_ns: int
    expires_ns: int | None = None
    ttl_seconds: int = 0
    uses_left: int | None = None
    cidr_list: tuple[str, ...] = ()
    token_bound_cidrs: tuple[str, ...] = ()
    metadata: dict[str, str] | None = None

    def is_expired(self, now_ns: int) -> bool:
        """Return whether its time is over."""
        return self.expires_ns is not None and self.expires_ns <= now_ns


def make_uuid() -> str:
    """Return a new random id."""
    return str(uuid.UUID(bytes=random_bytes(16), version=4))


def decode_role(value: bytes) -> Role:
    """Return the role stored as `value`."""
    return msgspec.json.decode(value, type=Role)


def decode_secret_id(value: bytes) -> SecretId:
    """Return the secret id stored as `value`."""
    return msgspec.json.decode(value, type=SecretId)


def _decode_names(value: bytes) -> dict[str, str]:
    return msgspec.json.decode(value, type=dict[str, str])


def make_key(context: Context) -> None:
    """Give a new mount the key of its hashes."""
    if context.storage.get(_KEY) is None:
        context.storage.put(_KEY, random_bytes(32))


class Rows:
    """The rows of one mount, within a transaction."""

    def __init__(self, view: View) -> None:
        self._view = view

    # -- roles --------------------------------------------------------------------------------------------------------

    def find_role(self, name: str) -> Role | None:
        """Return the role with this name, in whatever case."""
        if not name or len(name.encode("utf-8", "replace")) > limits.APPROLE_NAME_BYTES_MAX:
            return None
        entry = self._view.get(ROLES + name.lower())
        return None if entry is None else entry.decode(decode_role)

    def find_role_by_id(self, role_id: str) -> Role | None:
        """Return the role with this role id. Whether there is one, the same rows are read."""
        entry = self._view.get(_place_of(role_id))
        names = {} if entry is None else entry.decode(_decode_names)
        return self.find_role(names.get(role_id, _NOBODY + "/"))

    def put_role(self, role: Role, former: Role | None) -> None:
        """Store a role in place of what it was; raises InvalidRequest where its role id is another's."""
        if former is None or former.role_id != role.role_id:
            if former is not None:
                self._change_ids(former.role_id, None)
            self._change_ids(role.role_id, role.name)
        self._view.put(ROLES + role.name, msgspec.json.encode(role))

    def delete_role(self, role: Role, now: float) -> None:
        """Forget a role. Its secret ids, however many, cannot be reached any more; `remove_due` clears them away."""
        self._change_ids(role.role_id, None)
        self._view.delete(ROLES + role.name)
        self._view.put(_REMOVED + role.uuid, b"", expires_at=now)

    def _change_ids(self, role_id: str, name: str | None) -> None:
        place = _place_of(role_id)
        entry = self._view.get(place)
        names = {} if entry is None else dict(entry.decode(_decode_names))
        if name is not None and names.get(role_id, name) != name:
            raise InvalidRequest("1 error occurred:\n\t* role_id already in use\n\n")
        names.pop(role_id, None)
        if name is not None:
            names[role_id] = name
        self._view.put(place, msgspec.json.encode(names))

    # -- secret ids ---------------------------------------------------------------------------------------------------

    def hash_secret_id(self, secret_id: str) -> str:
        """Return the keyed hash of a secret id."""
        entry = self._view.get(_KEY)
        key = b"" if entry is None else entry.value
        return hmac.digest(key, secret_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()

    def find_secret_id(self, role: Role | None, secret_id: str, role_id: str = "") -> tuple[str, SecretId | None]:
        """Return the hash of a secret id, and what is stored of it under a role.

        Without a role it is looked for all the same, in a place that differs from role id to role id as those of roles do: in one place
        for all of them, the database would find sooner that nothing is there.
        """
        hashed = self.hash_secret_id(secret_id)
        owner = _make_up_uuid(role_id) if role is None else role.uuid
        entry = self._view.get(f"{_SECRETS}{owner}/{hashed}")
        return hashed, None if entry is None else entry.decode(decode_secret_id)

    def find_by_accessor(self, role: Role, accessor: str) -> tuple[str, SecretId] | None:
        """Return a secret id of this role by its accessor; those of other roles are not found."""
        if not accessor or "/" in accessor or len(accessor) > limits.APPROLE_NAME_BYTES_MAX:
            return None
        entry = self._view.get(f"{_ACCESSORS}{role.uuid}/{accessor}")
        if entry is None:
            return None
        hashed = entry.value.decode()
        stored = self._view.get(f"{_SECRETS}{role.uuid}/{hashed}")
        return None if stored is None else (hashed, stored.decode(decode_secret_id))

    def put_secret_id(self, role: Role, hashed: str, secret: SecretId) -> None:
        """Store a secret id and its accessor, if the role is still there and as it was."""
        self._view.guard(ROLES + role.name)
        self._view.put(f"{_ACCESSORS}{role.uuid}/{secret.accessor}", hashed.encode())
        self.update_secret_id(role, hashed, secret)

    def update_secret_id(self, role: Role, hashed: str, secret: SecretId) -> None:
        """Store a changed secret id."""
        expires_at = None if secret.expires_ns is None else secret.expires_ns / 1e9
        self._view.put(f"{_SECRETS}{role.uuid}/{hashed}", msgspec.json.encode(secret), expires_at=expires_at)

    def delete_secret_id(self, role: Role, hashed: str, secret: SecretId) -> None:
        """Forget a secret id."""
        self._view.delete(f"{_ACCESSORS}{role.uuid}/{secret.accessor}")
        self._view.delete(f"{_SECRETS}{role.uuid}/{hashed}")

    def list_accessors(self, role: Role, after: str, limit: int | None) -> tuple[str, ...]:
        """Return the accessors of a role's secret ids, in order."""
        return self._view.list_children(f"{_ACCESSORS}{role.uuid}/", after, limit)

    # -- upkeep -------------------------------------------------------------------------------------------------------

    def remove_due(self, places: tuple[str, ...], now_ns: int) -> None:
        """Delete what was found to be due: expired secret ids, and a page of those of each deleted role."""
        for place in places:
            if place.startswith(_REMOVED):
                self._remove_page(place.removeprefix(_REMOVED))
            elif place.startswith(_SECRETS):
                self._remove_expired(place.removeprefix(_SECRETS), now_ns)

    def _remove_expired(self, place: str, now_ns: int) -> None:
        owner, _, hashed = place.partition("/")
        entry = self._view.get(_SECRETS + place)
        secret = None if entry is None else entry.decode(decode_secret_id)
        if secret is not None and secret.is_expired(now_ns):
            self._view.delete(f"{_ACCESSORS}{owner}/{secret.accessor}")
            self._view.delete(f"{_SECRETS}{owner}/{hashed}")

    def _remove_page(self, owner: str) -> None:
        left = 0
        for folder in (f"{_SECRETS}{owner}/", f"{_ACCESSORS}{owner}/"):
            page = self._view.list_subtree(folder, limit=REMOVED_PAGE)
            left += len(page)
            for name in page:
                self._view.delete(folder + name)
        if not left:
            self._view.delete(_REMOVED + owner)


def _make_up_uuid(role_id: str) -> str:
    digits = _digest(role_id)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def _digest(role_id: str) -> str:
    return hashlib.sha256(role_id.encode("utf-8", "surrogatepass")).hexdigest()


def _place_of(role_id: str) -> str:
    return _ROLE_IDS + _digest(role_id)[0]
