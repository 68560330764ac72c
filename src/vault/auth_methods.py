"""The auth methods beside tokens, with what each needs of the rest: a part of what `bootstrap` puts together."""

from collections.abc import Mapping

from vault.clock import Clock
from vault.logical.backend import Backend
from vault.modules.auth.methods.approle import backend as approle
from vault.modules.auth.methods.cert import backend as cert
from vault.modules.auth.methods.kubernetes import backend as kubernetes
from vault.modules.auth.methods.userpass import backend as userpass
from vault.passwords import PasswordHasher
from vault.storage.transaction import Store
from vault.telemetry.observer import Observer


def list_methods(observer: Observer, store: Store, clock: Clock) -> Mapping[tuple[str, str], Mapping[str, Backend]]:
    """Return the methods by family and kind."""
    return {
        ("auth", "approle"): {"": approle.build(store.run)},
        ("auth", "cert"): {"": cert.build()},
        ("auth", "kubernetes"): {"": kubernetes.build()},
        ("auth", "userpass"): {"": userpass.build(PasswordHasher(observer, clock))},
    }
