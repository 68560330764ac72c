"""The method in the real pipeline, over rows in memory."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.jwt_forge import pem, rsa_key, sign_raw
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest
from vault.logical.login import Login
from vault.logical.mount import Mount
from vault.logical.operation import Operation
from vault.logical.response import Response
from vault.modules.auth.methods.jwt.backend import build
from vault.modules.auth.outbound import Unreachable
from vault.modules.identity.store import IdentityStore
from vault.storage.transaction import Transaction
from vault.storage.view import View

PROVIDER = "https://p.example"
DISCOVERY = {"issuer": PROVIDER, **{name: f"{PROVIDER}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}}
CONFIG: dict[str, Any] = {"oidc_discovery_url": PROVIDER, "oidc_client_id": "us", "oidc_client_secret": "hidden secret"}


class Outside:
    """A provider that answers as the test says."""

    documents: Mapping[str, Any] = {f"{PROVIDER}/.well-known/openid-configuration": DISCOVERY, f"{PROVIDER}/jwks_uri": {"keys": []}}

    def fetch_object(self, url: str, ca_pem: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Return a document, or fail."""
        if url not in self.documents:
            raise Unreachable("no answer")
        return self.documents[url]  # type: ignore[no-any-return]  # documents of the test


@pytest.fixture
def world() -> World:
    """Return a host with the method."""

    def commit(mount: Mount, work: Callable[[View], None]) -> None:
        made.first.store.run(lambda transaction: work(View(transaction, mount.storage_prefix)))

    class Keys:
        """Seals by the barrier of the host, which is made after the method."""

        def encrypt(self, path: str, value: bytes) -> bytes:
            """Seal."""
            return made.first.seal.encrypt(path, value)

        def decrypt(self, path: str, value: bytes) -> bytes:
            """Open."""
            return made.first.seal.decrypt(path, value)

    class Clock:
        """The host's clock, which is made after the method."""

        def now(self) -> float:
            """Return the time."""
            return made.clock.now()

        def now_ns(self) -> int:
            """Return the time."""
            return made.clock.now_ns()

        def monotonic(self) -> float:
            """Return the time."""
            return made.clock.monotonic()

    backend = build("jwt", fetch=Outside(), keys=Keys(), commit=commit, clock=Clock())

    class Built(World):
        backends = {("auth", "jwt"): {"": backend}}  # noqa: RUF012 - a table of the test

    made = Built()
    made.write("sys/auth/jwt", type="jwt")
    return made


def send(world: World, path: str, token: str | None = None, **fields: Any) -> Response:
    """Write without a token, or with one."""
    response = world.send(Operation.UPDATE, path, fields, token=token)
    assert response is not None
    return response


def rows_of(world: World) -> dict[str, Any]:
    """Return what is stored, but for the trail of requests."""
    return dict(world.rows.rows)


def test_asking_for_login_pages_stores_nothing(world: World) -> None:
    """However often; so strangers cannot fill the database."""
    world.write("auth/jwt/config", **CONFIG)
    world.write("auth/jwt/role/r", user_claim="sub", allowed_redirect_uris="https://a.example/cb")
    before = rows_of(world)
    for _ in range(20):
        data = send(world, "auth/jwt/oidc/auth_url", role="r", redirect_uri="https://a.example/cb").data
        assert data is not None
        assert data["auth_url"].startswith(f"{PROVIDER}/authorization_endpoint?")
    assert rows_of(world) == before


def test_client_secret_is_never_shown(world: World) -> None:
    """Neither read back nor named in a refusal."""
    world.write("auth/jwt/config", **CONFIG)
    shown = world.send(Operation.READ, "auth/jwt/config", {})
    assert shown is not None
    assert "hidden secret" not in repr(shown)
    assert shown.data is not None
    assert shown.data["oidc_client_id"] == "us"


def test_refused_configuration_changes_nothing(world: World) -> None:
    """A source that cannot be reached is no configuration, unless that is asked for; then it is told."""
    world.write("auth/jwt/config", **CONFIG)
    before = rows_of(world)
    for fields in (
        {"jwks_url": "https://gone.example/"},
        {"oidc_discovery_url": PROVIDER + "/other"},
        {"jwt_validation_pubkeys": "x"},
        {**CONFIG, "oidc_discovery_ca_pem": "x"},
        {**CONFIG, "oidc_discovery_ca_pem": "x", "skip_jwks_validation": True},
        {**CONFIG, "jwt_supported_algs": ["none"]},
        {**CONFIG, "provider_config": {"provider": ["azure"]}},
    ):
        with pytest.raises(InvalidRequest):
            world.write("auth/jwt/config", **fields)
    assert rows_of(world) == before
    told = world.send(Operation.UPDATE, "auth/jwt/config", {"jwks_url": "https://gone.example/", "skip_jwks_validation": True})
    assert told is not None
    assert told.warnings == ("error checking jwks URL: no answer",)


class Followed(IdentityStore):
    """Notes whose groups were changed."""

    seen: tuple[tuple[str, ...], ...] = ()

    def recognise(self, transaction: Transaction, mount: Mount, login: Login) -> Any:
        """Note the groups of a login."""
        Followed.seen = (*Followed.seen, login.groups)
        return super().recognise(transaction, mount, login)

    def follow_groups(self, transaction: Transaction, mount: Mount, entity_id: str, groups: tuple[str, ...]) -> None:
        """Note the groups of a renewal."""
        Followed.seen = (*Followed.seen, groups)


def test_renewal_leaves_the_groups_alone(world: World) -> None:
    """A token that names groups made them at its login; a renewal knows no newer ones, and brings none back."""
    world.first.core.logins._identity.__class__ = Followed
    world.write("auth/jwt/config", jwt_validation_pubkeys=[pem(rsa_key())])
    world.write("auth/jwt/role/r", role_type="jwt", user_claim="sub", bound_subject="bob", groups_claim="/g/names")
    now = int(world.clock.now())
    token = sign_raw({"alg": "RS256"}, {"sub": "bob", "iat": now, "g": {"names": ["a", "b", "a"]}})
    auth = send(world, "auth/jwt/login", role="r", jwt=token).auth
    assert auth is not None
    send(world, "auth/token/renew-self", token=auth.client_token.reveal())
    assert Followed.seen == (("a", "b"),)
