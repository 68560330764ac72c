"""What exists: every table of every backend, against lists written out by hand."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from vault.bootstrap import Service
from vault.config import combine
from vault.declaration import find_dsn
from vault.errors import StorageUnavailable
from vault.host import HostPage
from vault.logical.args import list_args
from vault.logical.backend import Backend, Endpoint, Path
from vault.logical.operation import Operation
from vault.modules.identity.oidc.upkeep import Upkeep
from vault.secret import Secret
from vault.settings import Storage

# Method and path, below the mount of the backend.
PUBLIC = {
    "read sys/init",
    "update sys/init",
    "read sys/seal-status",
    "update sys/unseal",
    "read sys/health",
    "read sys/leader",
    "read sys/wrapping/lookup",
    "update sys/mfa/validate",
    "update sys/wrapping/lookup",
    "read sys/internal/ui/mounts",
    "read sys/internal/ui/mounts/{path*}",
    "read sys/internal/ui/namespaces",
    "read sys/internal/specs/openapi",
    "update sys/internal/specs/openapi",
    "update sys/decode-token",
    "read identity/oidc/.well-known/openid-configuration",
    "read identity/oidc/.well-known/keys",
    "read identity/oidc/provider/{name}/.well-known/openid-configuration",
    "read identity/oidc/provider/{name}/.well-known/keys",
    "update identity/oidc/provider/{name}/token",
    "read identity/oidc/provider/{name}/userinfo",
    "update identity/oidc/provider/{name}/userinfo",
    "update approle/login",
    "update cert/login",
    "update jwt/login",
    "update jwt/oidc/auth_url",
    "read jwt/oidc/callback",
    "update jwt/oidc/callback",
    "update oidc/login",
    "update oidc/oidc/auth_url",
    "read oidc/oidc/callback",
    "update oidc/oidc/callback",
    "update kubernetes/login",
    "update ldap/login/{username*}",
    "update userpass/login/{username}",
}
# Public where the listener opens the door that they name.
WHILE_SEALED = {"read sys/init", "update sys/init", "read sys/seal-status", "update sys/unseal", "read sys/health", "read sys/leader"}
# Public where the listener has the door open; elsewhere a policy must allow it, and for the first ones with sudo.
SHARE_DOORS = {
    "read sys/rekey/init": "rekey",
    "update sys/rekey/init": "rekey",
    "delete sys/rekey/init": "rekey",
    "update sys/rekey/update": "rekey",
    "read sys/rekey/verify": "rekey",
    "update sys/rekey/verify": "rekey",
    "delete sys/rekey/verify": "rekey",
    "read sys/rekey-recovery-key/init": "rekey",
    "update sys/rekey-recovery-key/init": "rekey",
    "delete sys/rekey-recovery-key/init": "rekey",
    "update sys/rekey-recovery-key/update": "rekey",
    "read sys/rekey-recovery-key/verify": "rekey",
    "update sys/rekey-recovery-key/verify": "rekey",
    "delete sys/rekey-recovery-key/verify": "rekey",
    "read sys/generate-root/attempt": "generate-root",
    "update sys/generate-root/attempt": "generate-root",
    "delete sys/generate-root/attempt": "generate-root",
    "update sys/generate-root/update": "generate-root",
}
OPERATOR_DOORS = {"read sys/metrics": "metrics", "read sys/in-flight-req": "in-flight-req"}
DOORS = {**SHARE_DOORS, **OPERATOR_DOORS}
SUDO = {
    "update sys/rotate",
    "update sys/rotate/keyring",
    *SHARE_DOORS,
    "update sys/rotate/root",
    "read sys/rotate/root/init",
    "update sys/rotate/root/init",
    "delete sys/rotate/root/init",
    "update sys/rotate/root/update",
    "read sys/rotate/root/verify",
    "update sys/rotate/root/verify",
    "delete sys/rotate/root/verify",
    "read sys/rotate/recovery/init",
    "update sys/rotate/recovery/init",
    "delete sys/rotate/recovery/init",
    "update sys/rotate/recovery/update",
    "read sys/rotate/recovery/verify",
    "update sys/rotate/recovery/verify",
    "delete sys/rotate/recovery/verify",
    "read sys/rekey/backup",
    "delete sys/rekey/backup",
    "read sys/rotate/root/backup",
    "delete sys/rotate/root/backup",
    "read sys/rekey/recovery-key-backup",
    "delete sys/rekey/recovery-key-backup",
    "read sys/rotate/recovery/backup",
    "delete sys/rotate/recovery/backup",
    "read sys/generate-root-token/attempt",
    "update sys/generate-root-token/attempt",
    "delete sys/generate-root-token/attempt",
    "update sys/generate-root-token/update",
    "update sys/seal",
    "update sys/step-down",
    "read sys/auth/{path*}",
    "update sys/auth/{path*}",
    "delete sys/auth/{path*}",
    "read sys/auth/{path*}/tune",
    "update sys/auth/{path*}/tune",
    "update sys/remount",
    "read sys/audit",
    "update sys/audit/{path*}",
    "delete sys/audit/{path*}",
    "read sys/config/auditing/request-headers",
    "read sys/config/auditing/request-headers/{header}",
    "update sys/config/auditing/request-headers/{header}",
    "delete sys/config/auditing/request-headers/{header}",
    "read sys/config/auditing/checkpoint-key",
    "read sys/config/auditing/checkpoints",
    "read sys/leases",
    "list sys/leases/lookup",
    "list sys/leases/lookup/{prefix*}",
    "update sys/leases/revoke-prefix/{prefix*}",
    "update sys/leases/revoke-force/{prefix*}",
    "list token/accessors",
    "read sys/config/cors",
    "update sys/config/cors",
    "delete sys/config/cors",
    "list sys/config/ui/headers",
    "read sys/config/ui/headers/{header}",
    "update sys/config/ui/headers/{header}",
    "delete sys/config/ui/headers/{header}",
}
# Vault asks for sudo in the handlers of these, and says so in words of its own.
SUDO_IN_HANDLER = {"token/create", "token/revoke-orphan"}
SECRET_FIELDS = {"token", "key", "otp"}


@pytest.fixture(scope="module")
def service() -> Service:
    """Return a service that is built and not started."""
    settings = combine(dev=True, flags={}, environment={}, files=())
    storage = Storage(kind="postgresql", connection_url=Secret("postgresql://nobody@127.0.0.1:1/nowhere"))
    return Service(replace(settings, storage=storage), HostPage())


def list_backends(service: Service) -> Iterator[tuple[str, Backend]]:
    """Yield all backends with the name that stands for their mount."""
    for (_, kind), versions in service.core.mounts.registry.backends.items():
        for backend in versions.values():
            yield ("sys" if kind == "system" else kind), backend


def list_endpoints(service: Service) -> Iterator[tuple[str, Path, Operation, Endpoint]]:
    """Yield all endpoints, each with `operation mount/pattern`."""
    for name, backend in list_backends(service):
        for row in backend.paths:
            for operation, endpoint in row.operations.items():
                for pattern in row.patterns:
                    yield f"{operation.value} {name}/{pattern}", row, operation, endpoint


def test_public_endpoints_are_those_written_here(service: Service) -> None:
    """Nothing else answers without a token; method and path both count."""
    assert {name for name, _, _, endpoint in list_endpoints(service) if endpoint.public} == PUBLIC


def test_doors_are_those_written_here(service: Service) -> None:
    """No listener can open anything else."""
    assert {name: endpoint.door for name, _, _, endpoint in list_endpoints(service) if endpoint.door} == DOORS


def test_sealed_endpoints_are_those_written_here(service: Service) -> None:
    """Nothing else answers while sealed, and each of them may be public: there are no tokens then."""
    assert {name for name, _, _, endpoint in list_endpoints(service) if endpoint.sealed} == WHILE_SEALED | OPERATOR_DOORS.keys()
    assert WHILE_SEALED <= PUBLIC


def test_sudo_endpoints_are_those_written_here(service: Service) -> None:
    """They need the sudo capability as well."""
    assert {name for name, _, _, endpoint in list_endpoints(service) if endpoint.sudo} == SUDO
    names = {name.partition(" ")[2] for name, _, _, _ in list_endpoints(service)}
    assert names >= SUDO_IN_HANDLER
    assert not any(name.startswith("sys/raw") for name in names)


def test_everything_has_help(service: Service) -> None:
    """Every backend, path and argument says what it is for."""
    for name, backend in list_backends(service):
        assert backend.help, name
    for name, row, _, endpoint in list_endpoints(service):
        assert row.help.endswith("."), name
        for item in list_args(endpoint.args):
            assert item.help.endswith("."), (name, item.name)
            assert item.kind.name, (name, item.name)


def test_secrets_are_arguments_that_cannot_be_printed(service: Service) -> None:
    """A field that carries a token or a key share is parsed to a Secret, wherever it stands."""
    found = set()
    for name, _, _, endpoint in list_endpoints(service):
        for item in list_args(endpoint.args):
            if item.wire in SECRET_FIELDS and name.split(" ")[1].startswith(("sys/", "token/")):
                found.add(item.wire)
                assert isinstance(item.kind.parse("abc"), Secret), name
    assert found == SECRET_FIELDS


def test_every_path_is_reached(service: Service) -> None:
    """No row of a table is hidden by one that stands before it."""
    for _, backend in list_backends(service):
        for row in backend.paths:
            for pattern in row.patterns:
                sample = pattern.replace("*}", "}").replace("{", "a-").replace("}", "")
                match = backend.find_match(sample)
                assert match is not None
                assert match.path is row, pattern


def test_building_opens_nothing(service: Service) -> None:
    """Connections are made after the fork: what is built before has none, and refuses."""
    with pytest.raises(StorageUnavailable):
        service.core.store.read().get("core/mounts")
    assert service.core.devices is not None


def test_dsn_comes_from_the_settings() -> None:
    """A configured URL is taken as it is."""
    settings = combine(dev=True, flags={}, environment={}, files=())
    storage = Storage(kind="postgresql", connection_url=Secret("postgresql://x/y"))
    assert find_dsn(replace(settings, storage=storage)) == "postgresql://x/y"
    embedded = Storage(kind="embedded", path="/nowhere/data")
    assert "/nowhere" in find_dsn(replace(settings, storage=embedded))


def test_identity_token_keys_are_looked_after(service: Service) -> None:
    """The background work of the leader rotates them."""
    assert any(isinstance(getattr(chore, "__self__", None), Upkeep) for chore in service._expiry._chores)
