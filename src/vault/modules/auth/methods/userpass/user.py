"""Users as they are stored. Beside each lies the stamp of the user's sessions: when it changes, every token of the user is refused.

And the cost of the mount: the highest that a password hash on it ever had. Every check costs that much, so time tells no user from
another, and none from nobody. For the same reason a mount keeps a stand-in, which is read and decoded in place of a user that is none.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from vault.crypto.passwords import COST, find_cost, make_decoy
from vault.crypto.random import random_hex
from vault.logical.login import TokenParameters
from vault.modules.auth.methods.userpass.name import is_name
from vault.modules.auth.parameters import describe_parameters
from vault.storage.view import View

USERS = "user/"
SESSIONS = "session/"
_COST = "cost"
_STAND_IN = "stand-in"
_NOWHERE = "nowhere"  # no row is ever put there
_NOBODY = "?"  # no name


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user."""

    name: str
    password: str  # its hash
    parameters: TokenParameters = TokenParameters()
    display_name: str = ""
    email: str = ""
    is_active: bool = True


def _decode(value: bytes) -> User:
    return msgspec.json.decode(value, type=User)


def find_user(storage: View, name: str) -> User | None:
    """Return the user of this name. One that nobody can have is looked for as well: that takes its time."""
    entry = storage.get(USERS + (name if is_name(name) else _NOBODY))
    return None if entry is None else entry.decode(_decode)


def find_user_by_guess(storage: View, name: str) -> User | None:
    """Return the user of this name. Whoever it is, a row that is there is read and decoded, and one that is not there is looked for."""
    user = find_user(storage, name)
    entry = storage.get(_STAND_IN if user is None else _NOWHERE)
    if entry is not None:
        entry.decode(_decode)
    return user


def find_cost_of_checks(storage: View) -> int:
    """Return what each check of a password costs on this mount."""
    entry = storage.get(_COST)
    return COST if entry is None else int(entry.value)


def put_user(storage: View, user: User, before: User | None) -> None:
    """Store a user; a new or other password, and being disabled, end all sessions."""
    storage.put(USERS + user.name, msgspec.json.encode(user))
    cost = find_cost(user.password)
    known = storage.get(_COST)
    if known is None or int(known.value) < cost:
        storage.put(_COST, str(cost).encode())
    if storage.get(_STAND_IN) is None:
        storage.put(_STAND_IN, msgspec.json.encode(User(name=_NOBODY, password=make_decoy(cost))))
    if before is None or before.password != user.password or (before.is_active and not user.is_active):
        storage.put(SESSIONS + user.name, random_hex(8).encode())


def delete_user(storage: View, name: str) -> None:
    """Remove a user and end all sessions; a missing one is no error."""
    storage.delete(USERS + name)
    storage.delete(SESSIONS + name)


def describe_user(user: User) -> dict[str, Any]:
    """Return a user in the wire's names, without the hash. The older names are those that a web client reads."""
    parameters = describe_parameters(user.parameters)
    older = {old: parameters[f"token_{old}"] for old in ("policies", "ttl", "max_ttl")}
    shown = {"username": user.name, "display_name": user.display_name, "email": user.email, "is_active": user.is_active}
    return {**parameters, **older, **shown}
