"""Identity tokens as hvac manages and asks for them."""

from __future__ import annotations

import hvac
import jwt
import pytest
from hvac.exceptions import InvalidPath, InvalidRequest

from tests.compat.server_process import Server
from tests.compat.wire import Wire


@pytest.fixture
def person(root: Wire, server: Server, name: str) -> hvac.Client:
    """Return a client with a token of somebody."""
    policy = 'path "identity/oidc/*" { capabilities = ["read", "update"] }'
    assert root.put(f"sys/policies/acl/{name}", {"policy": policy}).status == 204
    assert (
        root.put(f"auth/token/roles/{name}", {"allowed_entity_aliases": [name], "allowed_policies": [name], "orphan": True}).status == 204
    )
    made = root.put(f"auth/token/create/{name}", {"entity_alias": name})
    return hvac.Client(url=server.url, token=made.auth["client_token"])


def test_hvac_manages_keys(client: hvac.Client, name: str) -> None:
    """Create, read, list, rotate, delete."""
    identity = client.secrets.identity
    assert identity.create_named_key(name, rotation_period="1h", verification_ttl="2h", algorithm="ES256").status_code == 204
    expected = {"algorithm": "ES256", "allowed_client_ids": [], "rotation_period": 3600, "verification_ttl": 7200}
    assert identity.read_named_key(name)["data"] == expected
    assert name in identity.list_named_keys()["data"]["keys"]
    # hvac's own method of that name only writes the verification time.
    assert identity.rotate_named_key(name, verification_ttl="1h").status_code == 204
    assert identity.read_named_key(name)["data"]["verification_ttl"] == 3600
    assert client.write(f"identity/oidc/key/{name}/rotate", verification_ttl="1h").status_code == 204
    assert identity.delete_named_key(name).status_code == 204
    with pytest.raises(InvalidPath):
        identity.read_named_key(name)
    with pytest.raises(InvalidRequest, match="no named key found"):
        client.write(f"identity/oidc/key/{name}/rotate")
    with pytest.raises(InvalidRequest, match="not allowed"):
        identity.delete_named_key("default")


def test_hvac_manages_roles(client: hvac.Client, name: str) -> None:
    """Create, read, list, delete."""
    identity = client.secrets.identity
    with pytest.raises(InvalidRequest, match="cannot find key"):
        identity.create_or_update_role(name, key=name)
    identity.create_named_key(name, algorithm="ES256")
    assert identity.create_or_update_role(name, key=name, template='{"a": 1}', client_id="app", ttl="1h").status_code == 204
    assert identity.read_role(name)["data"] == {"client_id": "app", "key": name, "template": '{"a": 1}', "ttl": 3600}
    assert name in identity.list_roles()["data"]["keys"]
    with pytest.raises(InvalidRequest, match="referenced by these roles"):
        identity.delete_named_key(name)
    assert identity.delete_role(name).status_code == 204
    assert identity.delete_named_key(name).status_code == 204


def test_hvac_gets_a_token_that_verifies(client: hvac.Client, person: hvac.Client, name: str) -> None:
    """The published keys check it, introspection knows it, and a rotation takes neither away."""
    identity = client.secrets.identity
    identity.create_named_key(name, algorithm="ES256", allowed_client_ids=["*"])
    identity.create_or_update_role(name, key=name, ttl="1h", template='{"who": {{identity.entity.id}}}')
    made = person.secrets.identity.generate_signed_id_token(name)["data"]
    assert made["ttl"] == 3600
    client.write(f"identity/oidc/key/{name}/rotate")
    published = jwt.PyJWKSet.from_dict(identity.read_active_public_keys())
    key = published[jwt.get_unverified_header(made["token"])["kid"]]
    claims = jwt.decode(made["token"], key.key, algorithms=["ES256"], audience=made["client_id"])
    assert claims["who"] == claims["sub"]
    assert claims["iss"] == identity.read_well_known_configurations()["issuer"]
    assert identity.introspect_signed_id_token(made["token"])["active"] is True
    assert identity.introspect_signed_id_token(made["token"], client_id="other")["active"] is False
    with pytest.raises(InvalidRequest, match="no entity"):
        identity.generate_signed_id_token(name)
    identity.delete_role(name)
    identity.delete_named_key(name)


def test_hvac_configures_the_issuer(client: hvac.Client) -> None:
    """An issuer is set, shown and taken back."""
    identity = client.secrets.identity
    try:
        assert identity.configure_tokens_backend(issuer="https://id.example.com")["warnings"]
        assert identity.read_tokens_backend_configuration()["data"] == {"issuer": "https://id.example.com"}
        assert identity.read_well_known_configurations()["issuer"] == "https://id.example.com/v1/identity/oidc"
    finally:
        identity.configure_tokens_backend(issuer="")
