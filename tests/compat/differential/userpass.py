"""Requests to auth/userpass, and to sys/locked-users."""

from typing import Any

from tests.compat.differential.case import STRICTER, Case, c

# The cheapest hash that may be imported: of "right".
HASH = "$2a$10$vfQxdlyDrIsrBp0w/l4YO.W3BHE7QQ0U6GVaknTjXVInYS8FGT94W"

NO_500 = "what the client sent wrong is a 400 for us"
NAMES = "a name that is none is a 400 for us; under login it fails as any name does that nobody has"
BLANKS = "blanks around a name and other widths are the same name for us"
ROOT_POLICY = "nobody is given the root policy that no login can hand out"
LOCKED = "a locked name gets the answer of a wrong password"
COUNTED = "names that nobody has are counted and locked as well"
MORE = ("email", "is_active", "username", "display_name", "policies", "ttl", "max_ttl", "bound_cidrs")
SHOWN = {"ignore": tuple(f"data.{name}" for name in MORE)}
REFUSED = {"differs": NO_500, "allowed": (400,)}


def user(body: Any, **options: Any) -> Case:
    """Build a row that writes a user who may be refused."""
    return c("POST", "auth/userpass/users/odd", body, **options)


TABLE = (
    c("POST", "sys/auth/userpass", {"type": "userpass"}),
    c("LIST", "auth/userpass/users"),
    c("GET", "auth/userpass/users"),
    # users
    c("POST", "auth/userpass/users/ann", {}),
    c("POST", "auth/userpass/users/ann", {"password": ""}),
    c("POST", "auth/userpass/users/ann", {"password": "right", "policies": "a,b"}),
    c("GET", "auth/userpass/users/ann", **SHOWN),
    c("POST", "auth/userpass/users/ann", {"password": "", "token_ttl": "1h"}),
    c("GET", "auth/userpass/users/Ann", **SHOWN),
    c("POST", "auth/userpass/users/Bob", {"password_hash": HASH, "token_policies": ["x", "y"], "ttl": "1h", "max_ttl": "2h"}),
    c("GET", "auth/userpass/users/bob", **SHOWN),
    c("LIST", "auth/userpass/users"),
    c("GET", "auth/userpass/users?list=true"),
    c("LIST", "auth/userpass/users/?limit=1"),
    c("LIST", "auth/userpass/users/?after=ann"),
    c("GET", "auth/userpass/users/none"),
    c("DELETE", "auth/userpass/users/none"),
    c("PATCH", "auth/userpass/users/ann", {"password": "x"}),
    *(
        c("POST", f"auth/userpass/users/{name}", {"password": "x"}, differs=NAMES, allowed=(400,))
        for name in ("a@b", "a+b", "-a", "a.", "%C3%84bc", "a%20b", "a..b")
    ),
    c("POST", "auth/userpass/users/%20eve", {"password": "x"}, differs=BLANKS, allowed=(204,)),
    c("DELETE", "auth/userpass/users/eve"),
    c("POST", "auth/userpass/users/a/b", {"password": "x"}),
    # passwords
    c("POST", "auth/userpass/users/none/password", {"password": "x"}, **REFUSED),
    c("POST", "auth/userpass/users/ann/password", {}),
    c("POST", "auth/userpass/users/ann/password", {"password": ""}),
    c("POST", "auth/userpass/users/ann/password", {"password_hash": "garbage"}),
    c("POST", "auth/userpass/users/ann/password", {"password_hash": HASH, "password": "x"}),
    c("POST", "auth/userpass/users/ann/password", {"password_hash": HASH.replace("$10$", "$31$")}),
    c("POST", "auth/userpass/users/ann/password", {"password_hash": HASH}),
    user({"password_hash": HASH.replace("$10$", "$04$")}, differs="a cheap hash protects nobody", allowed=(400,)),
    user({"password_hash": HASH, "password": "x"}),
    # policies
    c("POST", "auth/userpass/users/none/policies", {"policies": "x"}, **REFUSED),
    c("POST", "auth/userpass/users/ann/policies", {}),
    c("POST", "auth/userpass/users/ann/policies", {"policies": ["B", "a"]}),
    c("GET", "auth/userpass/users/ann", **SHOWN),
    c("POST", "auth/userpass/users/ann/policies", {"token_policies": "t"}),
    # token parameters
    user({"password": "x", "token_ttl": -5}, differs=STRICTER, allowed=(400,)),
    user({"password": "x", "token_ttl": "2h", "token_max_ttl": "1h"}),
    user({"password": "x", "token_type": "weird"}),
    user({"password": "x", "token_num_uses": -3}, differs=STRICTER, allowed=(400,)),
    user({"password": "x", "token_num_uses": "many"}),
    user({"password": "x", "token_bound_cidrs": "junk"}, differs="the same refusal, longer", allowed=(400,)),
    user({"password_hash": HASH, "bound_cidrs": "10.0.0.0/8", "policies": "a", "token_policies": "b"}),
    c("GET", "auth/userpass/users/odd", **SHOWN),
    c("POST", "auth/userpass/login/odd", {"password": "right"}, token=None),
    # logins
    c("POST", "auth/userpass/login/ann", {"password": "right"}, token=None, save={"t": "auth.client_token"}),
    c("PUT", "auth/userpass/login/ANN", {"password": "right"}, token=None),
    c("GET", "auth/token/lookup-self", token="t"),
    c("POST", "auth/userpass/login/ann", {"password": "wrong"}, token=None),
    c("POST", "auth/userpass/login/none", {"password": "wrong"}, token=None),
    c("POST", "auth/userpass/login/ann", {}, token=None, **REFUSED),
    c("POST", "auth/userpass/login/ann", {"password": ""}, token=None, **REFUSED),
    c("POST", "auth/userpass/login/ann", {"password": {"a": 1}}, token=None),
    c("POST", "auth/userpass/login/a@b", {"password": "wrong"}, token=None, differs=NAMES, allowed=(400,)),
    c("POST", "auth/userpass/login/%20ann", {"password": "right"}, token=None, differs=BLANKS, allowed=(200,)),
    c("GET", "auth/userpass/login/ann"),
    c("POST", "auth/userpass/login/", {"password": "right"}, token=None, differs="an unknown path needs a token for us", allowed=(403,)),
    # renewals
    c("POST", "auth/token/renew-self", {}, token="t"),
    c("POST", "auth/userpass/users/ann/policies", {"token_policies": "other"}),
    c("POST", "auth/token/renew-self", {}, token="t", differs="the refusal comes without Vault's wrapping of it", allowed=(400,)),
    # lockout
    c("GET", "sys/locked-users"),
    *(c("POST", "auth/userpass/login/bob", {"password": "wrong"}, token=None) for _ in range(5)),
    c("POST", "auth/userpass/login/bob", {"password": "right"}, token=None, differs=LOCKED, allowed=(400,)),
    c("POST", "auth/userpass/login/BOB", {"password": "right"}, token=None, differs=LOCKED, allowed=(400,)),
    c("GET", "sys/auth/userpass", save={"accessor": "data.accessor"}),
    c("GET", "sys/locked-users"),
    c("GET", "sys/locked-users?mount_accessor=<<accessor>>"),
    c("GET", "sys/locked-users?mount_accessor=none"),
    c("LIST", "sys/locked-users"),
    c("POST", "sys/locked-users/none/unlock/bob"),
    c("POST", "sys/locked-users/<<accessor>>/unlock/nobody"),
    c("PUT", "sys/locked-users/<<accessor>>/unlock/bob"),
    c("GET", "sys/locked-users"),
    c("POST", "auth/userpass/login/bob", {"password": "right"}, token=None),
    *(c("POST", "auth/userpass/login/none", {"password": "wrong"}, token=None) for _ in range(5)),
    c("GET", "sys/locked-users", differs=COUNTED, allowed=(200,)),
    c("GET", "sys/locked-users", token=None),
    # tuning
    c("POST", "sys/auth/userpass/tune", {"user_lockout_config": {"lockout_threshold": 2, "lockout_duration": "10m"}}),
    c("GET", "sys/auth/userpass/tune"),
    c("GET", "sys/auth/userpass"),
    c("POST", "sys/auth/userpass/tune", {"user_lockout_config": {"lockout_threshold": "3", "lockout_counter_reset_duration": 90}}),
    c("GET", "sys/auth/userpass/tune"),
    c("POST", "sys/auth/userpass/tune", {"user_lockout_config": {"lockout_threshold": 0, "lockout_disable": True}}),
    c("POST", "sys/auth/userpass/tune", {"user_lockout_config": {"lockout_duration": "", "other": 1}}),
    c("POST", "sys/auth/userpass/tune", {"user_lockout_config": {}}),
    c("GET", "sys/auth/userpass/tune"),
    *(
        c("POST", "sys/auth/userpass/tune", {"user_lockout_config": config}, differs="another wording", allowed=(400,))
        for config in ({"lockout_threshold": -3}, {"lockout_threshold": "x"}, {"lockout_duration": "x"}, {"lockout_disable": "maybe"}, "x")
    ),
    c("POST", "sys/auth/userpass/tune", {"user_lockout_config": {"lockout_duration": -5}}, differs=STRICTER, allowed=(400,)),
    c("POST", "auth/userpass/users/bob/policies", {"policies": ["root"]}, differs=ROOT_POLICY, allowed=(400,)),
    c("DELETE", "auth/userpass/users/ANN"),
    c("DELETE", "sys/auth/userpass"),
)
