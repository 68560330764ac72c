"""The auth methods beside tokens, with what each needs of the rest: a part of what `bootstrap` puts together."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from vault.clock import Clock
from vault.logical.backend import Backend
from vault.logical.mount import Mount
from vault.modules.auth.methods.approle import backend as approle
from vault.modules.auth.methods.approle.upkeep import Upkeep
from vault.modules.auth.methods.cert import backend as cert
from vault.modules.auth.methods.jwt import backend as jwt
from vault.modules.auth.methods.kubernetes import backend as kubernetes
from vault.modules.auth.methods.ldap import backend as ldap
from vault.modules.auth.methods.userpass import backend as userpass
from vault.modules.auth.outbound import Outbound
from vault.passwords import PasswordHasher
from vault.seal import Seal
from vault.storage.transaction import Store
from vault.storage.view import View
from vault.telemetry.observer import Observer


def list_methods(
    observer: Observer, store: Store, seal: Seal, clock: Clock, hash_turn: Callable[[], AbstractContextManager[object]]
) -> Mapping[tuple[str, str], Mapping[str, Backend]]:
    """Return the methods by family and kind."""

    def commit(mount: Mount, work: Callable[[View], None]) -> None:
        store.run(lambda transaction: work(View(transaction, mount.storage_prefix)))

    openid = {("auth", kind): {"": jwt.build(kind, fetch=Outbound(), keys=seal, commit=commit, clock=clock)} for kind in ("jwt", "oidc")}
    return {
        ("auth", "approle"): {"": approle.build(Upkeep(store, store, clock).sweep)},
        ("auth", "cert"): {"": cert.build()},
        ("auth", "kubernetes"): {"": kubernetes.build()},
        ("auth", "ldap"): {"": ldap.build()},
        ("auth", "userpass"): {"": userpass.build(PasswordHasher(observer, hash_turn))},
        **openid,
    }
