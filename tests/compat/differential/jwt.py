"""Requests to auth/jwt/*, with the same keys and tokens for both servers."""

import time
from typing import Any

from tests.compat.differential.case import Case, c, junk
from tests.jwt_forge import ec_key, pem, row, rsa_key, sign, sign_raw

CONFIG = "auth/djwt/config"
KEYS = [pem(rsa_key()), pem(ec_key())]
JWT = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault"}
NOW = int(time.time())
NAMED = "the reference names its library or Go types; ours names the claim"
SOURCES = "the reference names sources that only it has"
REASON = "ours says why a source cannot be used in other words"
SHOWN = ("data.override_allowed_server_names",)  # a setting that ours has not
KEPT = "a role with that could never let anybody in: refused when it is written"
UNSUPPORTED = "not supported by ours, and refused rather than ignored"
EMPTIED = "a list that was emptied is shown by ours as one that was never set"
STRANGER = "a stranger is not told which operations a path has"
EXACT = "a number with a fraction is no whole number for us"


def role(name: str, **fields: Any) -> Case:
    """Write a role."""
    return c("POST", f"auth/djwt/role/{name}", {**JWT, **fields})


def read(name: str, written: Any = None) -> Case:
    """Read a role."""
    return c("GET", f"auth/djwt/role/{name}", differs=EMPTIED if "" in (written or {}).values() else "")


def login(
    name: str = "l", key: Any = None, algorithm: str = "RS256", differs: str = "", allowed: tuple[int, ...] = (), **changes: Any
) -> Case:
    """Log in by a token with these claims."""
    body = {"role": name, "jwt": sign(key, algorithm, iss="us", **changes)}
    return c("POST", "auth/djwt/login", body, token=None, differs=differs, allowed=allowed)


BOUND = {"bound_claims": {"n": 1, "b": True, "l": ["x", "y"], "/d/e": "f"}}
GOOD: dict[str, Any] = {"n": 1, "b": True, "l": "x", "d": {"e": ["f", "g"]}}
ROLE_JUNK: tuple[dict[str, Any], ...] = (
    *({"user_claim": ""}, {"role_type": "x"}, {"bound_claims_type": "x"}, {"bound_claims_type": ""}, {"callback_mode": "x"}),
    *({"claim_mappings": {"a": "role"}}, {"claim_mappings": {"a": "x", "b": "x"}}, {"claim_mappings": {"a": 1}}),
    *({"token_ttl": "2h", "token_max_ttl": "1h"}, {"token_type": "x"}, {"expiration_leeway": -1, "clock_skew_leeway": "1m"}),
    *({"bound_audiences": ""}, {"bound_audiences": "", "bound_subject": "s"}, {"max_age": "1h"}, {"token_max_ttl": "9000h"}),
    *({"oidc_scopes": "a,b", "allowed_redirect_uris": "x"}, {"groups_claim": "/a/b", "user_claim_json_pointer": True}),
)
TABLE = (
    c("POST", "sys/auth/djwt", {"type": "jwt"}),
    c("GET", CONFIG),
    c("POST", "auth/djwt/login", {"role": "l", "jwt": "x"}, token=None),
    c("POST", "auth/djwt/oidc/auth_url", {"role": "l"}, token=None),
    c("POST", CONFIG, {}, differs=SOURCES),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "jwks_url": "http://127.0.0.1:9/"}, differs=SOURCES),
    c("POST", CONFIG, {"jwt_validation_pubkeys": "garbage"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": [*KEYS, "x"]}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "jwt_supported_algs": "HS256"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "jwt_supported_algs": "none,RS256"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "oidc_response_types": "x"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "oidc_response_types": "id_token"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "oidc_response_mode": "x"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "oidc_client_id": "a"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "oidc_client_id": "a", "oidc_client_secret": "b"}),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "provider_config": {"a": "b"}}),
    c("POST", CONFIG, {"jwks_url": "http://127.0.0.1:9/"}, differs=REASON),
    c("POST", CONFIG, {"jwks_url": "ftp://x"}, differs=REASON),
    c("POST", CONFIG, {"jwks_url": "http://127.0.0.1:9/", "jwks_ca_pem": "x"}),
    c("POST", CONFIG, {"oidc_discovery_url": "http://127.0.0.1:9"}, differs=REASON),
    c("POST", CONFIG, {"oidc_discovery_url": "http://127.0.0.1:9", "skip_jwks_validation": True}, differs=REASON),
    c("POST", CONFIG, {"jwt_validation_pubkeys": KEYS, "bound_issuer": "us", "default_role": "L"}),
    c("GET", CONFIG, ignore=SHOWN),
    c("DELETE", CONFIG),
    c("LIST", "auth/djwt/role"),
    c("POST", "auth/djwt/role/e", {}),
    c("POST", "auth/djwt/role/e", {"role_type": "jwt"}),
    c("POST", "auth/djwt/role/e", {"user_claim": "sub"}),
    c("POST", "auth/djwt/role/e", {"role_type": "jwt", "user_claim": "sub"}),
    *(row_ for number, junk_ in enumerate(ROLE_JUNK) for row_ in (role(f"j{number}", **junk_), read(f"j{number}", junk_))),
    *(junk("POST", "auth/djwt/role/d", {**JWT, "max_age": value}, value) for value in (-1, "x", 1.5, True, "1h", "")),
    c("POST", "auth/djwt/role/g", {**JWT, "bound_claims": {"a": {"b": 1}}}, differs=KEPT, allowed=(400,)),
    c("POST", "auth/djwt/role/g", {**JWT, "bound_claims_type": "glob", "bound_claims": {"a": 1}}, differs=NAMED),
    c("POST", "auth/djwt/role/g", {**JWT, "callback_mode": "direct"}, differs=UNSUPPORTED, allowed=(400,)),
    role("old", ttl="1h", max_ttl="3h", policies="a,b", num_uses=3, period="1h", bound_cidrs="10.0.0.0/8"),
    read("old"),
    c("POST", "auth/djwt/role/O", {"user_claim": "sub", "allowed_redirect_uris": "http://localhost/x"}),
    read("o"),
    role("l", claim_mappings={"mail": "email"}, token_policies="p", groups_claim="groups"),
    role("lee", expiration_leeway=100_000, not_before_leeway="100000s"),
    c("POST", "auth/djwt/role/na", {"role_type": "jwt", "user_claim": "sub", "bound_subject": "bob"}),
    role("bc", **BOUND),
    role("gl", bound_claims_type="glob", bound_claims={"x": ["a*b", "*z", "q?"]}),
    c("POST", "auth/djwt/role/cb", {"role_type": "jwt", "user_claim": "sub", "token_bound_cidrs": "10.0.0.0/8"}),
    c("DELETE", "auth/djwt/role/g"),
    c("LIST", "auth/djwt/role"),
    c("GET", "auth/djwt/role/nosuch"),
    c("DELETE", "auth/djwt/role/nosuch"),
    c("POST", "auth/djwt/login", {}, token=None, differs="the default role decides", allowed=(400,)),
    c("POST", "auth/djwt/login", {"role": "nosuch", "jwt": "x"}, token=None),
    c("POST", "auth/djwt/login", {"role": "l"}, token=None),
    c("POST", "auth/djwt/login", {"role": "l", "jwt": "x"}, token=None, differs=NAMED),
    c("GET", "auth/djwt/login", token=None, differs=STRANGER, allowed=(403,)),
    c("GET", "auth/djwt/login"),
    login("o"),
    *(login(groups=value) for value in ("x", ["a", ""], [])),
    login(groups=None),
    login(groups={"a": 1}),
    login(groups=[1], differs=NAMED),
    login(groups=[], mail="m@example.org"),
    login(groups=[], mail=1),
    *(login(groups=[], aud=value) for value in (None, ["b"], [], ["b", "vault"])),
    *(login(groups=[], aud=value, differs=NAMED) for value in ({"a": 1}, 1, ["vault", 1])),
    login(groups=[], sub=None),
    login(groups=[], exp=None, iat=None),
    login(groups=[], sub=1, differs=NAMED),
    login(groups=[], sub="", differs="the reference fails with 500", allowed=(400,)),
    # The tokens are made long before they are sent in a whole run: these times are far from every bound.
    *(login(name, groups=[], exp=None, iat=NOW - age) for name in ("l", "lee") for age in (50_000, 500_000, -50_000)),
    *(login(name, groups=[], exp=None, iat=None, nbf=NOW - age) for name in ("l", "lee") for age in (50_000, 500_000, -50_000)),
    *(login(name, groups=[], iat=None, exp=NOW + seconds) for name in ("l", "lee") for seconds in (-50_000, 50_000, 500_000)),
    login("lee", groups=[], iat=NOW + 50_000),
    login(groups=[], exp=str(NOW + 50_000), differs=NAMED),
    login(groups=[], exp=True, differs=NAMED),
    login("na"),
    login("na", aud=None),
    login("na", aud=None, sub="eve"),
    login("na", aud=""),
    login("na", aud=[]),
    login("cb", aud=None),
    login("l", ec_key(), "ES256", groups=[]),
    login("l", rsa_key(), "PS256", groups=[]),
    login("l", rsa_key("evil"), groups=[]),
    login("bc", **GOOD),
    *(login("bc", **{**GOOD, name: value}) for name, value in (("n", "1"), ("b", "true"), ("b", 1), ("l", ["z"]), ("d", 1))),
    login("bc", **{**GOOD, "l": ["y", 1]}),
    login("bc", differs=EXACT, allowed=(400,), **{**GOOD, "n": 1.5}),
    *(login("gl", x=value) for value in ("ab", "axxb", "aXc", "z", "yz", "q1", "q?", ["n", "az"], 1, "a\nb", "*z")),
    c(
        "POST",
        "auth/djwt/login",
        {"role": "l", "jwt": sign_raw({"alg": "RS256", "jwk": row(rsa_key("evil"))}, {}, rsa_key("evil"))},
        token=None,
    ),
    c("DELETE", "auth/djwt/role/l"),
    c("DELETE", "sys/auth/djwt"),
)
