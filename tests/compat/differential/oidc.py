"""Identity tokens and the OIDC provider: what is set up, public documents, and what is refused before anybody is known."""

from __future__ import annotations

from typing import Any

from tests.compat.differential.case import Case, c
from tests.compat.differential.oidc_people import ASK, P1, PEOPLE

OTHER_WORDS = "the reason is told in other words: the reference quotes its parser"
NULL_IS_JSON = "null is an empty template; the reference takes it for base64"
ODD_NAME = "a name that no path takes: 404 there, refused here"
STATE = "the state comes back with every answer"
RAW = ("keys",)


def template(text: str, **options: Any) -> Case:
    """Build a row that writes a template."""
    return c("PUT", "identity/oidc/role/shaped", {"key": "k5", "ttl": "1h", "template": text}, **options)


CONFIG = (
    c("GET", "identity/oidc/config"),
    c("PUT", "identity/oidc/config", {"issuer": "https://x.example.com:8200"}),
    c("GET", "identity/oidc/config"),
    c("PUT", "identity/oidc/config", {"issuer": "https://x.example.com:8200/foo"}),
    c("PUT", "identity/oidc/config", {"issuer": "https://x.example.com:8200/"}),
    c("PUT", "identity/oidc/config", {"issuer": "https://u@x.example.com"}),
    c("PUT", "identity/oidc/config", {"issuer": "https://x.example.com?a=b"}),
    c("PUT", "identity/oidc/config", {"issuer": "ftp://x"}),
    c("PUT", "identity/oidc/config", {"issuer": "x"}),
    c("GET", "identity/oidc/.well-known/openid-configuration", token=None, cached=True),
    c("PUT", "identity/oidc/config", {}),
    c("PUT", "identity/oidc/config", {"issuer": ""}),
    c("GET", "identity/oidc/config"),
    c("DELETE", "identity/oidc/config"),
)
KEYS = (
    c("LIST", "identity/oidc/key"),
    c("GET", "identity/oidc/key/default"),
    c("GET", "identity/oidc/key/none"),
    c("PUT", "identity/oidc/key/k1", {}),
    c("GET", "identity/oidc/key/k1"),
    c("PUT", "identity/oidc/key/k2", {"rotation_period": "1s", "verification_ttl": "1s"}),
    c(
        "PUT",
        "identity/oidc/key/k2",
        {"rotation_period": "90", "verification_ttl": "600s", "algorithm": "ES256", "allowed_client_ids": "a,b"},
    ),
    c("GET", "identity/oidc/key/k2"),
    c("PUT", "identity/oidc/key/k3", {"rotation_period": "90", "verification_ttl": "6000s"}),
    c("PUT", "identity/oidc/key/k3", {"rotation_period": 0}),
    c("PUT", "identity/oidc/key/k3", {"rotation_period": "-5"}),
    c("PUT", "identity/oidc/key/k3", {"rotation_period": "abc"}),
    c("PUT", "identity/oidc/key/k3", {"rotation_period": 100, "verification_ttl": -1}),
    c("PUT", "identity/oidc/key/k3", {"rotation_period": 100, "verification_ttl": 0}),
    c("GET", "identity/oidc/key/k3"),
    c("PUT", "identity/oidc/key/k4", {"algorithm": "HS256"}),
    c("PUT", "identity/oidc/key/k4", {"algorithm": "none"}),
    c("PUT", "identity/oidc/key/k4", {"algorithm": ""}),
    c("PUT", "identity/oidc/key/k5", {"algorithm": "EdDSA", "allowed_client_ids": ["*"]}),
    c("PUT", "identity/oidc/key/k5", {"algorithm": "ES384"}),
    c("GET", "identity/oidc/key/k5"),
    *(c("PUT", f"identity/oidc/key/all{name}", {"algorithm": name}) for name in ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")),
    c("LIST", "identity/oidc/key"),
    c("PUT", "identity/oidc/key/k5/rotate", {}),
    c("PUT", "identity/oidc/key/k5/rotate", {"verification_ttl": "1m"}),
    c("PUT", "identity/oidc/key/k5/rotate", {"verification_ttl": "-1m"}),
    c("PUT", "identity/oidc/key/none/rotate", {}),
    c("GET", "identity/oidc/key/k5/rotate"),
    c("PUT", "identity/oidc/key/.a", {}, differs=ODD_NAME, allowed=(400,)),
    c("PUT", "identity/oidc/key/a%20b", {}, differs=ODD_NAME, allowed=(400,)),
    c("PUT", "identity/oidc/key/a.b-c_d", {}),
    c("GET", "identity/oidc/key/a.b-c_d"),
    c("GET", "identity/oidc/.well-known/keys", token=None, cached=True),
)
ROLES = (
    c("LIST", "identity/oidc/role"),
    c("PUT", "identity/oidc/role/r1", {}),
    c("PUT", "identity/oidc/role/r1", {"key": ""}),
    c("PUT", "identity/oidc/role/r1", {"key": "nokey"}),
    c("GET", "identity/oidc/role/r1"),
    c("PUT", "identity/oidc/role/r2", {"key": "k5", "ttl": "25h"}),
    c("PUT", "identity/oidc/role/r2", {"key": "k5", "ttl": "-25h"}),
    c("PUT", "identity/oidc/role/r2", {"key": "k5", "ttl": "0"}),
    c("GET", "identity/oidc/role/r2", ignore=("data.client_id",)),
    c("PUT", "identity/oidc/role/r2", {"client_id": "foo", "ttl": "1h"}),
    c("GET", "identity/oidc/role/r2"),
    c("PUT", "identity/oidc/key/k5", {"verification_ttl": "60s", "rotation_period": "1h"}),
    c("LIST", "identity/oidc/role"),
    template('{"aud":{{identity.entity.id}}}'),
    template('{"sub":1}'),
    template('{"a":{{identity.entity.idx}}}'),
    template('{"a":{{identity.entity.id}}', differs=OTHER_WORDS),
    template("[]", differs=OTHER_WORDS),
    template("1", differs=OTHER_WORDS),
    template("null", differs=NULL_IS_JSON, allowed=(204,)),
    template('{"a":{{time.now.plus}}}', differs=OTHER_WORDS),
    template('{"a":{{time.now.plus.x}}}'),
    template('{"a":{{time.then}}}', differs=OTHER_WORDS),
    template('{"a":{{identity.groups.ids.x.name}}}', differs=OTHER_WORDS),
    template('{"a":{{identity.entity.aliases.x}}}', differs=OTHER_WORDS),
    template('{"a":{{identity.entity.aliases.x.foo}}}'),
    template('{"a":{{}}}'),
    template('{"a":{{x}'),
    template('{"a":x}}}'),
    template('{"a":"{{identity.entity.name}}"}', differs=OTHER_WORDS),
    template('{"a":{{time.now.plus.-5}}}', differs="a duration is not negative", allowed=(400,)),
    template("not json", differs=OTHER_WORDS),
    template("{{identity.entity.metadata}}"),
    template("eyJhIjoxfQ=="),
    c("GET", "identity/oidc/role/shaped", ignore=("data.client_id",)),
    template('{"a":{{identity.entity.groups.names}},"b":{{ time.now }},"c":{{identity.entity.aliases.x.metadata.y}}}'),
    c("GET", "identity/oidc/role/shaped", ignore=("data.client_id",)),
    template(""),
    c("GET", "identity/oidc/token/r2"),
    c("GET", "identity/oidc/token/none"),
    c("GET", "identity/oidc/token/r2", token=None),
    c("GET", "identity/oidc/.well-known/keys", token=None, cached=True, ignore=RAW),
    c("PUT", "identity/oidc/introspect", {"token": "abc"}, ignore=("error",)),
    c("PUT", "identity/oidc/introspect", {}, ignore=("error",)),
    c("PUT", "identity/oidc/introspect", {"token": "eyJhbGciOiJub25lIn0.e30."}, ignore=("error",)),
    c("PUT", "identity/oidc/introspect", {"token": "abc"}, token=None),
    c("DELETE", "identity/oidc/key/k5"),
    c("DELETE", "identity/oidc/key/default"),
    c("DELETE", "identity/oidc/key/none"),
    c("DELETE", "identity/oidc/role/r2"),
    c("DELETE", "identity/oidc/role/none"),
    c("DELETE", "identity/oidc/role/shaped"),
    c("LIST", "identity/oidc/role"),
    c("DELETE", "identity/oidc/key/k2"),
)
SCOPES = (
    c("LIST", "identity/oidc/scope"),
    c("PUT", "identity/oidc/scope/openid", {"template": "{}"}),
    c("GET", "identity/oidc/scope/openid"),
    c("PUT", "identity/oidc/scope/s1", {"template": '{"groups":{{identity.entity.groups.names}}}', "description": "d"}),
    c("GET", "identity/oidc/scope/s1"),
    c("PUT", "identity/oidc/scope/s0", {}),
    c("GET", "identity/oidc/scope/s0"),
    c("PUT", "identity/oidc/scope/s2", {"template": '{"sub":1}'}),
    c("PUT", "identity/oidc/scope/s2", {"template": '{"groups":1}'}),
    c("LIST", "identity/oidc/scope"),
    c("DELETE", "identity/oidc/scope/none"),
)
ASSIGNMENTS = (
    c("LIST", "identity/oidc/assignment"),
    c("GET", "identity/oidc/assignment/allow_all"),
    c("DELETE", "identity/oidc/assignment/allow_all"),
    c("PUT", "identity/oidc/assignment/allow_all", {"entity_ids": "x"}),
    c("PUT", "identity/oidc/assignment/a1", {"group_ids": "g", "entity_ids": ["b", "a", "a"]}),
    c("GET", "identity/oidc/assignment/a1"),
    c("PUT", "identity/oidc/assignment/a1", {"group_ids": ""}),
    c("GET", "identity/oidc/assignment/a1"),
    c("GET", "identity/oidc/assignment/none"),
    c("DELETE", "identity/oidc/assignment/none"),
)
IDS = ("data.client_id", "data.client_secret")
CLIENTS = (
    c("LIST", "identity/oidc/client"),
    c("PUT", "identity/oidc/client/c1", {}),
    c("GET", "identity/oidc/client/c1", ignore=IDS, save={"c1": "data.client_id", "c1secret": "data.client_secret"}),
    c("PUT", "identity/oidc/client/c2", {"key": "none"}),
    c("PUT", "identity/oidc/client/c2", {"assignments": "none"}),
    c("PUT", "identity/oidc/client/c2", {"client_type": "foo"}),
    c("PUT", "identity/oidc/client/c2", {"id_token_ttl": "25h"}),
    c("PUT", "identity/oidc/client/c2", {"id_token_ttl": "-1h"}),
    c("PUT", "identity/oidc/client/c2", {"access_token_ttl": "-1h"}),
    c("GET", "identity/oidc/client/c2"),
    c("PUT", "identity/oidc/client/c1", {"key": "k5"}),
    c("PUT", "identity/oidc/client/c1", {"client_type": "public"}),
    c("PUT", "identity/oidc/client/c1", {"client_type": "foo"}),
    c("PUT", "identity/oidc/client/c1", {"redirect_uris": ["https://a/cb", "http://127.0.0.1:9/cb", "https://a/cb"], "assignments": "a1"}),
    c("GET", "identity/oidc/client/c1", ignore=IDS),
    c("PUT", "identity/oidc/client/pub", {"client_type": "public", "redirect_uris": "https://p/cb", "assignments": "allow_all"}),
    c("GET", "identity/oidc/client/pub", ignore=IDS, save={"pub": "data.client_id"}),
    c("PUT", "identity/oidc/client/own", {"client_credentials": True, "authorization_code": False}),
    c("GET", "identity/oidc/client/own", ignore=IDS, save={"own": "data.client_id", "ownsecret": "data.client_secret"}),
    c(
        "LIST",
        "identity/oidc/client",
        ignore=("data.key_info.c1.client_id", "data.key_info.pub.client_id", "data.key_info.own.client_id"),
    ),
    c("DELETE", "identity/oidc/assignment/a1"),
    c("DELETE", "identity/oidc/client/none"),
    c("PUT", "identity/oidc/key/default", {"verification_ttl": "60s", "rotation_period": "1h"}),
)
PROVIDERS = (
    c("LIST", "identity/oidc/provider", ignore=("data.key_info.default.issuer",)),
    c("GET", "identity/oidc/provider/default", ignore=("data.issuer",)),
    c("DELETE", "identity/oidc/provider/default"),
    c("PUT", "identity/oidc/provider/p1", {"scopes_supported": "nope"}),
    c("PUT", "identity/oidc/provider/p1", {"scopes_supported": "openid"}),
    c("PUT", "identity/oidc/provider/p1", {"issuer": "x"}),
    c("PUT", "identity/oidc/provider/p1", {"scopes_supported": "s1,s2", "allowed_client_ids": "*", "issuer": "https://i.example.com"}),
    c("GET", "identity/oidc/provider/p1"),
    c("GET", "identity/oidc/provider/p1/.well-known/openid-configuration", token=None, cached=True),
    c("GET", "identity/oidc/provider/p1/.well-known/keys", token=None, cached=True, ignore=RAW),
    c("PUT", "identity/oidc/provider/p1", {"scopes_supported": ["s1", "s1"]}),
    c("GET", "identity/oidc/provider/p1"),
    c("PUT", "identity/oidc/provider/p2", {}),
    c("GET", "identity/oidc/provider/p2", ignore=("data.issuer",)),
    c("GET", "identity/oidc/provider/p2/.well-known/keys", token=None, cached=True),
    c("GET", "identity/oidc/provider/none/.well-known/keys", token=None, cached=True),
    c("GET", "identity/oidc/provider/none/.well-known/openid-configuration", token=None, cached=True),
    c("DELETE", "identity/oidc/scope/s1"),
    c("DELETE", "identity/oidc/provider/none"),
)


def ask(provider: str = "p1", differs: str = "", **fields: object) -> Case:
    """Build an authentication request; None takes a field out."""
    sent = {name: value for name, value in {**ASK, **fields}.items() if value is not None}
    return c("PUT", f"identity/oidc/provider/{provider}/authorize", sent, differs=differs)


AUTHORIZE = (
    c("PUT", f"{P1}/authorize", {}),
    ask(client_id="x"),
    ask(client_id="<<own>>"),
    ask(redirect_uri=None),
    ask(redirect_uri="https://a/cb/"),
    ask(redirect_uri="https://a/cb?x=y"),
    ask("none"),
    ask("p2"),
    ask(request="x", differs=STATE),
    ask(request_uri="x", differs=STATE),
    ask(scope=None),
    ask(scope="foo"),
    ask(response_type=None),
    ask(response_type="token"),
    ask(max_age="abc"),
    ask(),
    c("PUT", f"{P1}/authorize", {}, token=None),
    c("GET", f"{P1}/authorize?client_id=<<c1>>&redirect_uri=https://a/cb&scope=openid%20s1&response_type=code&state=abc"),
)


TOKEN = (
    c("GET", f"{P1}/token", token=None, differs="what is public for a write is told to nobody who reads without a token", allowed=(403,)),
    c("POST", f"{P1}/token", {}, token=None),
    c("POST", f"{P1}/token", {"client_id": "x"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<c1>>"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<c1>>", "client_secret": "wrong"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<c1>>", "client_secret": "<<c1secret>>"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<c1>>", "client_secret": "<<c1secret>>", "grant_type": "password"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<c1>>", "client_secret": "<<c1secret>>", "grant_type": "client_credentials"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<c1>>", "client_secret": "<<c1secret>>", "grant_type": "authorization_code"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<own>>", "client_secret": "<<ownsecret>>", "grant_type": "authorization_code"}, token=None),
    c("POST", f"{P1}/token", {"client_id": "<<own>>", "client_secret": "<<ownsecret>>", "grant_type": "client_credentials"}, token=None),
    c(
        "POST",
        f"{P1}/token",
        {"client_id": "<<own>>", "client_secret": "<<ownsecret>>", "grant_type": "client_credentials", "scope": "openid"},
        token=None,
        ignore=("access_token",),
    ),
    c(
        "POST",
        f"{P1}/token",
        {"client_id": "<<c1>>", "client_secret": "<<c1secret>>", "grant_type": "authorization_code", "code": "x"},
        token=None,
    ),
    c("POST", "identity/oidc/provider/none/token", {"client_id": "<<c1>>", "client_secret": "<<c1secret>>"}, token=None),
    c("POST", "identity/oidc/provider/p2/token", {"client_id": "<<c1>>", "client_secret": "<<c1secret>>"}, token=None),
)
BEARER = {"Authorization": "Bearer nobody"}
USERINFO = (
    c("GET", f"{P1}/userinfo", token=None),
    c("POST", f"{P1}/userinfo", {}, token=None),
    c("GET", f"{P1}/userinfo"),
    c("GET", f"{P1}/userinfo", token=None, headers=BEARER),
    c("GET", f"{P1}/userinfo", token=None, headers={"Authorization": "Bearer root"}),
    c("GET", "identity/oidc/provider/none/userinfo", token=None, headers=BEARER, differs=ODD_NAME, allowed=(400,)),
    c("DELETE", f"{P1}/userinfo"),
)
ENDS = (
    c("PUT", "identity/oidc/provider/p1", {"scopes_supported": ""}),
    c("DELETE", "identity/oidc/scope/s1"),
    c("DELETE", "identity/oidc/client/c1"),
    c("DELETE", "identity/oidc/assignment/a1"),
    c("DELETE", "identity/oidc/provider/p1"),
    c("GET", "identity/oidc/provider/p1"),
    c("GET", "identity/oidc/client/c1"),
)

TABLE = (*CONFIG, *KEYS, *ROLES, *SCOPES, *ASSIGNMENTS, *CLIENTS, *PROVIDERS, *AUTHORIZE, *TOKEN, *USERINFO, *PEOPLE, *ENDS)
