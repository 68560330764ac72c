"""The auth methods beside tokens, with what each needs of the rest: a part of what `bootstrap` puts together."""

from collections.abc import Mapping

from vault.logical.backend import Backend
from vault.modules.auth.methods.approle import backend as approle
from vault.modules.auth.methods.userpass import backend as userpass
from vault.passwords import PasswordHasher
from vault.storage.transaction import Store
from vault.telemetry.observer import Observer


def list_methods(observer: Observer, store: Store) -> Mapping[tuple[str, str], Mapping[str, Backend]]:
    """Return the methods by family and kind."""
    return {
        ("auth", "userpass"): {"": userpass.build(PasswordHasher(observer))},
        ("auth", "approle"): {"": approle.build(store.run)},
    }
