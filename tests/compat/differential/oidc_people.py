"""Identity tokens of somebody, and signing in to the clients that `oidc.py` has registered: part of its table."""

from __future__ import annotations

from typing import Any

from tests.compat.differential.case import Case, c

ASK = {"client_id": "<<c1>>", "redirect_uri": "https://a/cb", "scope": "openid", "response_type": "code", "state": "s"}
P1 = "identity/oidc/provider/p1"
POLICY = 'path "identity/oidc/*" { capabilities = ["create", "read", "update"] }'
FIRST = {**ASK, "scope": "openid s1", "nonce": "n", "max_age": 3600}
SECRET = {"client_id": "<<c1>>", "client_secret": "<<c1secret>>"}
CODE = {**SECRET, "grant_type": "authorization_code", "redirect_uri": "https://a/cb"}
PKCE = {**ASK, "client_id": "<<pub>>", "redirect_uri": "https://p/cb"}
VERIFIER = "v" * 43
MADE = ("access_token", "id_token")
NO_GROUPS = ("groups",)  # no groups are an empty list with us, and null with the reference
PHONE = {"client_id": "<<pub>>", "grant_type": "authorization_code", "code": "<<code>>", "redirect_uri": "https://p/cb"}


PLACEHOLDERS = {
    "id": "identity.entity.id",
    "name": "identity.entity.name",
    "metadata": "identity.entity.metadata",
    "team": "identity.entity.metadata.team",
    "nothing": "identity.entity.metadata.nothing",
    "groups": "identity.entity.groups.names",
    "alias": "identity.entity.aliases.<<accessor>>.name",
    "alias_metadata": "identity.entity.aliases.<<accessor>>.metadata",
    "alias_custom": "identity.entity.aliases.<<accessor>>.custom_metadata",
    "nobody": "identity.entity.aliases.nobody.name",
    "nobodys": "identity.entity.aliases.nobody.metadata",
}
EVERYTHING = "{" + ",".join(f'"{name}":{{{{{directive}}}}}' for name, directive in PLACEHOLDERS.items()) + ',"n":1.50}'


def code(save: str, body: dict[str, Any]) -> Case:
    """Build an authentication request of somebody, whose code is kept."""
    return c("PUT", f"{P1}/authorize", body, token="ann", save={save: "code"}, ignore=("code",))


def exchange(body: dict[str, Any], **options: Any) -> Case:
    """Build a token request."""
    return c("POST", f"{P1}/token", body, token=None, **options)


def userinfo(token: str, provider: str = "p1", **options: Any) -> Case:
    """Build a request for the claims of somebody."""
    bearer = {"Authorization": f"Bearer {token}"}
    return c("GET", f"identity/oidc/provider/{provider}/userinfo", token=None, headers=bearer, **options)


# Somebody is there by a token role that names an alias: the same on both servers without any auth method.
PEOPLE = (
    c("PUT", "sys/policies/acl/oidc-people", {"policy": POLICY}),
    c("PUT", "auth/token/roles/oidc", {"allowed_entity_aliases": ["ann"], "orphan": True, "allowed_policies": "oidc-people"}),
    c("PUT", "auth/token/create/oidc", {"entity_alias": "bob"}),
    c(
        "PUT",
        "auth/token/create/oidc",
        {"entity_alias": "ANN"},
        save={"ann": "auth.client_token", "entity": "auth.entity_id"},
    ),
    c("PUT", "identity/oidc/assignment/a1", {"entity_ids": "<<entity>>"}),
    c("PUT", "identity/oidc/key/sign", {"algorithm": "ES256", "allowed_client_ids": "app"}),
    c("PUT", "identity/oidc/role/app", {"key": "sign", "ttl": "1h", "client_id": "app", "template": '{"n":{{identity.entity.name}}}'}),
    c("GET", "identity/oidc/token/app", token="ann", save={"jwt": "data.token"}),
    c("GET", "identity/oidc/token/none", token="ann"),
    c("PUT", "identity/oidc/introspect", {"token": "<<jwt>>"}),
    c("PUT", "identity/oidc/introspect", {"token": "<<jwt>>", "client_id": "app"}),
    c("PUT", "identity/oidc/introspect", {"token": "<<jwt>>", "client_id": "other"}, ignore=("error",)),
    c("PUT", "identity/oidc/introspect", {"token": "<<jwt>>AAAA"}, ignore=("error",)),
    c("PUT", "identity/oidc/key/sign/rotate", {}),
    c("PUT", "identity/oidc/introspect", {"token": "<<jwt>>"}),
    c("PUT", "identity/oidc/key/sign/rotate", {"verification_ttl": "1m"}),
    c("PUT", "identity/oidc/introspect", {"token": "<<jwt>>"}),
    c("PUT", "identity/oidc/key/sign", {"allowed_client_ids": "other"}),
    c("GET", "identity/oidc/token/app", token="ann"),
    code("code", FIRST),
    exchange(CODE | {"code": "<<code>>"}, ignore=MADE, save={"access": "access_token", "id": "id_token"}),
    exchange(CODE | {"code": "<<code>>"}),
    userinfo("<<access>>", ignore=NO_GROUPS),
    c("POST", f"{P1}/userinfo", {}, token=None, headers={"Authorization": "Bearer <<access>>"}, ignore=NO_GROUPS),
    userinfo("<<access>>", "p2"),
    userinfo("<<ann>>"),
    c("GET", f"{P1}/userinfo", token="access"),
    c("GET", "auth/token/lookup-self", token="access"),
    c("PUT", f"{P1}/authorize", FIRST, token="access"),
    code("code", FIRST),
    exchange({**CODE, "code": "<<code>>", "redirect_uri": "https://b/cb"}),
    exchange({**CODE, "code": "<<code>>"}),
    code("code", FIRST),
    exchange({**CODE, "code": "<<code>>", "redirect_uri": None}),
    code("code", FIRST),
    exchange({**CODE, "code": "<<code>>", "code_verifier": VERIFIER}),
    code("code", FIRST),
    exchange({**CODE, "code": "<<code>>", "client_id": "<<own>>", "client_secret": "<<ownsecret>>"}),
    c("PUT", f"{P1}/authorize", PKCE, token="ann"),
    c("PUT", f"{P1}/authorize", PKCE | {"code_challenge": "x"}, token="ann"),
    c("PUT", f"{P1}/authorize", PKCE | {"code_challenge": VERIFIER, "code_challenge_method": "x"}, token="ann"),
    code("code", PKCE | {"code_challenge": VERIFIER}),
    exchange(PHONE),
    code("code", PKCE | {"code_challenge": VERIFIER, "code_challenge_method": "plain"}),
    exchange({**PHONE, "code_verifier": "w" * 43}),
    code("code", PKCE | {"code_challenge": VERIFIER, "code_challenge_method": "plain"}),
    exchange({**PHONE, "code_verifier": VERIFIER}, ignore=MADE),
    c("PUT", f"{P1}/authorize", FIRST | {"max_age": 0}, token="ann"),
    c("PUT", "identity/oidc/assignment/a1", {"entity_ids": ""}),
    userinfo("<<access>>", ignore=NO_GROUPS),
    c("PUT", f"{P1}/authorize", FIRST, token="ann"),
    c("PUT", "identity/oidc/assignment/a1", {"entity_ids": "<<entity>>"}),
    userinfo("<<access>>", ignore=NO_GROUPS),
    c("PUT", "identity/entity/id/<<entity>>", {"name": 'O"Ann', "metadata": {"team": "x\ny", "a": "é<&>"}}),
    c("PUT", "identity/group", {"name": "inner", "member_entity_ids": "<<entity>>"}, save={"inner": "data.id"}, ignore=("data.id",)),
    c("PUT", "identity/group", {"name": "outer", "member_group_ids": "<<inner>>"}, ignore=("data.id",)),
    c("GET", "sys/auth", save={"accessor": "token/.accessor"}, ignore=("",)),
    c("PUT", "identity/oidc/scope/all", {"template": EVERYTHING}),
    c("PUT", "identity/oidc/provider/p1", {"scopes_supported": "s1,all"}),
    code("code", FIRST | {"scope": "openid all"}),
    exchange(CODE | {"code": "<<code>>"}, ignore=MADE, save={"access": "access_token"}),
    userinfo("<<access>>"),
    c("PUT", "identity/oidc/assignment/a1", {"entity_ids": "", "group_ids": "<<inner>>"}),
    userinfo("<<access>>"),
    c("PUT", "identity/entity/id/<<entity>>", {"disabled": True}),
    userinfo("<<access>>", differs="who is disabled is not told about, for the same reason as who is not assigned", allowed=(403,)),
    c("GET", "identity/oidc/token/app", token="ann"),
    c("PUT", "identity/oidc/introspect", {"token": "<<jwt>>"}),
    c("PUT", "identity/entity/id/<<entity>>", {"disabled": False}),
    c("PUT", "identity/group/id/<<inner>>", {"member_entity_ids": ""}),
    userinfo("<<access>>"),
    c("DELETE", "identity/oidc/client/c1"),
    userinfo("<<access>>", ignore=NO_GROUPS),
)
