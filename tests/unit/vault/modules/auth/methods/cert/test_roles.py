"""Roles and configuration of the method `cert`."""

from typing import Any

import pytest

from tests.issuer import SERVER
from tests.unit.vault.modules.auth.methods.cert.conftest import CertWorld
from vault.errors import InvalidRequest, NotFound


@pytest.mark.parametrize(
    "fields",
    [
        {"certificate": ""},
        {"certificate": "nonsense"},
        {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
        {"certificate": 5},
        {"required_extensions": "1.2.3.4"},
        {"required_extensions": "name:x"},
        {"required_extensions": ":x"},
        {"ocsp_enabled": True},
        {"token_policies": "root"},
        {"token_ttl": -1},
        {"token_ttl": "NaN"},
        {"token_num_uses": 1.5},
        {"token_num_uses": True},
        {"token_type": "nonsense"},
        {"token_bound_cidrs": "nonsense"},
        {"token_ttl": "2h", "token_max_ttl": "1h"},
    ],
)
def test_role_that_cannot_be_is_refused(world: CertWorld, fields: dict[str, Any]) -> None:
    """And nothing of it is stored, also where the role was there before."""
    with pytest.raises(InvalidRequest):
        world.trust("new", **fields)
    world.trust("old")
    before = world.read("auth/cert/certs/old")
    with pytest.raises(InvalidRequest):
        world.write("auth/cert/certs/old", **fields)
    assert world.list("auth/cert/certs") == ("old",)
    assert world.read("auth/cert/certs/old") == before


@pytest.mark.parametrize("name", ["-a", "a-", "a b", "a:b", "x" * 300, ".a", "é"])
def test_odd_name_is_refused(world: CertWorld, name: str) -> None:
    """Names are letters, digits, and a few signs between them."""
    with pytest.raises(InvalidRequest):
        world.trust(name)
    with pytest.raises(InvalidRequest):
        world.read(f"auth/cert/certs/{name}")


def test_certificate_must_be_of_use(world: CertWorld) -> None:
    """A server's certificate is no client's, and nothing but authorities stands beside an authority."""
    server = world.client("server", purposes=[SERVER])
    with pytest.raises(InvalidRequest, match="nonCA certificates"):
        world.trust(certificate=server.pem)
    with pytest.raises(InvalidRequest, match="nothing but authorities"):
        world.trust(certificate=world.root.pem + world.client().pem)
    with pytest.raises(InvalidRequest, match="at most 50"):
        world.trust(certificate=world.root.pem * 51)


def test_authority_beside_a_trusted_client_is_not_trusted(world: CertWorld) -> None:
    """Whoever pastes a client's certificate with its chain trusts that client, not all the others."""
    own = world.client()
    world.trust(certificate=own.pem + world.root.pem)
    world.enter(own)
    with pytest.raises(InvalidRequest, match="invalid certificate"):
        world.enter(world.client("other"))


def test_role_is_kept(world: CertWorld) -> None:
    """What is absent keeps its value; older names are shown while they are what was said last."""
    world.trust("Up.x", certificate=world.root.pem, policies="a", token_policies=None, ttl=60, allowed_names="a, b")
    data = world.read("auth/cert/certs/up.X")
    assert (data["display_name"], data["allowed_names"], data["allowed_dns_sans"]) == ("up.x", ["a", "b"], None)
    assert (data["policies"], data["token_policies"], data["ttl"], data["token_ttl"]) == (["a"], ["a"], 60, 60)
    world.write("auth/cert/certs/up.x", token_ttl=90, display_name="shown")
    data = world.read("auth/cert/certs/up.x")
    assert (data["display_name"], data["allowed_names"], data["token_ttl"], data["policies"]) == ("shown", ["a", "b"], 90, ["a"])
    assert "ttl" not in data
    world.delete("auth/cert/certs/up.x")
    with pytest.raises(NotFound):
        world.read("auth/cert/certs/up.x")
    world.delete("auth/cert/certs/up.x")


def test_roles_are_listed_in_pages(world: CertWorld) -> None:
    """After a name, and so many of them."""
    for name in ("a", "b", "c"):
        world.trust(name)
    assert world.list("auth/cert/certs") == ("a", "b", "c")
    assert world.list("auth/cert/certs", after="a", limit=1) == ("b",)


def test_times_beyond_the_mount_are_warned_about(world: CertWorld) -> None:
    """They are cut when a token is made."""
    response = world.trust(token_ttl="9000h", token_max_ttl="9001h", token_period="9002h")
    assert [warning.partition(" of ")[0] for warning in response.warnings] == ["Given ttl", "Given max_ttl", "Given period"]


@pytest.mark.parametrize("fields", [{"ocsp_cache_size": 1}, {"ocsp_cache_size": 100_001}, {"disable_binding": "maybe"}])
def test_configuration_that_cannot_be_is_refused(world: CertWorld, fields: dict[str, Any]) -> None:
    """Its bounds are Vault's."""
    with pytest.raises(InvalidRequest):
        world.write("auth/cert/config", **fields)


def test_configuration_is_kept(world: CertWorld) -> None:
    """What is absent keeps its value."""
    world.write("auth/cert/config", disable_binding=True)
    world.write("auth/cert/config", enable_identity_alias_metadata=True, ocsp_cache_size=2)
    assert world.read("auth/cert/config") == {
        "disable_binding": True,
        "enable_identity_alias_metadata": True,
        "enable_metadata_on_failures": False,
        "ocsp_cache_size": 2,
    }
