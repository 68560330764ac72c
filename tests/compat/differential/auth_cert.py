"""Requests to the auth method `cert`, over a listener without TLS: roles, lists, configuration. Logins: tests/compat/test_cert_auth.py."""

from datetime import UTC, datetime

from tests.compat.differential.case import c, junk
from tests.issuer import SERVER, make

ROLE = "auth/cert/certs/web"
LIST = "auth/cert/crls/main"
NAMES = "names of roles are refused by us with 400 where the reference knows no such path"
FIELD = "enable_metadata_on_failures is Vault's, and ours; the reference has no such field"
SAID = "ours says in its own words why it cannot read or fetch a list, and never answers 500"
CRASH = "the reference crashes at the login after this; ours refuses it at once"
WORDS = "ours says in more words what it expected"
OCSP = "ours offers no OCSP, and says so"
NO_TLS = "the reference crashes or speaks of TLS; for us a listener without TLS shows no certificate"

NOW = datetime.now(UTC)
ROOT = make("root", authority=True, now=NOW)
CLIENT = ROOT.issue("client", now=NOW)
REVOKED = ROOT.revoke(CLIENT, now=NOW).decode()
JUNK = ("abc", -5, 1.5, True, "1e3", [1], {"a": 1}, "", None, "30m", "9000h")

TABLE = (
    c("POST", "sys/auth/cert", {"type": "cert"}),
    c("LIST", "auth/cert/certs"),
    c("GET", "auth/cert/certs"),
    c("GET", ROLE),
    c("DELETE", ROLE),
    c("POST", ROLE),
    c("POST", ROLE, {}),
    c("POST", ROLE, {"certificate": "nonsense"}),
    c("POST", ROLE, {"certificate": ROOT.pem}, token=None),
    c("POST", ROLE, {"certificate": ROOT.issue("server", now=NOW, purposes=[SERVER]).pem}),
    c("POST", ROLE, {"certificate": ROOT.pem, "required_extensions": "1.2.3"}, differs=CRASH, allowed=(400,)),
    c("POST", ROLE, {"certificate": ROOT.pem, "ocsp_enabled": True}, differs=OCSP, allowed=(400,)),
    c("DELETE", ROLE),
    c("POST", ROLE, {"certificate": ROOT.pem}),
    c("GET", ROLE),
    c("POST", ROLE, {"policies": "a,b", "ttl": "1h", "max_ttl": 7200, "period": "10m", "bound_cidrs": "10.0.0.0/8"}),
    c("GET", ROLE),
    c("POST", ROLE, {"token_policies": ["c"], "token_ttl": 60, "token_bound_cidrs": ""}),
    c("GET", ROLE),
    c("POST", ROLE, {"allowed_common_names": "a*,b", "allowed_dns_sans": ["c"], "allowed_email_sans": "d", "allowed_uri_sans": "e"}),
    c("POST", ROLE, {"allowed_organizational_units": "f", "allowed_names": ["g", "h"], "required_extensions": "1.2.3:x*"}),
    c("POST", ROLE, {"allowed_metadata_extensions": "1.2.3,1.2.4", "display_name": "shown"}),
    c("POST", ROLE, {"ocsp_servers_override": "http://a", "ocsp_fail_open": True, "ocsp_query_all_servers": "true"}),
    c("GET", ROLE),
    c("POST", ROLE, {"allowed_names": "", "unknown": 1}),
    c("GET", ROLE, ignore=("data.allowed_names",)),  # null for us, as if it had never been said
    *(junk("POST", ROLE, {"token_ttl": value}, value) for value in JUNK),
    *(junk("POST", ROLE, {"token_num_uses": value}, value) for value in JUNK),
    c("POST", ROLE, {"token_num_uses": 0, "token_ttl": "2h", "token_max_ttl": "1h"}),
    c("POST", ROLE, {"token_ttl": 0, "token_max_ttl": 0, "token_period": 0, "token_type": "batch"}),
    c("POST", ROLE, {"token_type": "nonsense"}),
    c("POST", ROLE, {"token_bound_cidrs": "nonsense"}, differs=WORDS),
    c("POST", "auth/cert/certs/UP.x-y", {"certificate": CLIENT.pem}),
    c("GET", "auth/cert/certs/up.X-y"),
    c("POST", "auth/cert/certs/-a", {"certificate": CLIENT.pem}, differs=NAMES, allowed=(400,)),
    c("POST", "auth/cert/certs/a%20b", {"certificate": CLIENT.pem}, differs=NAMES, allowed=(400,)),
    c("POST", "auth/cert/certs/a/b", {"certificate": CLIENT.pem}),
    c("LIST", "auth/cert/certs"),
    c("LIST", "auth/cert/certs?after=up.x-y"),
    c("LIST", "auth/cert/certs?limit=1"),
    c("PATCH", ROLE, {"display_name": "x"}),
    # lists
    c("LIST", "auth/cert/crls"),
    c("GET", LIST),
    c("DELETE", LIST),
    c("POST", LIST, {}),
    c("POST", LIST, {"crl": "nonsense"}, differs=SAID),
    c("POST", LIST, {"url": ""}),
    c("POST", LIST, {"url": "http://127.0.0.1:1/x"}, differs=SAID, allowed=(400,)),
    c("POST", LIST, {"crl": REVOKED}),
    c("GET", LIST),
    c("POST", "auth/cert/crls/Empty", {"crl": ROOT.revoke(now=NOW).decode()}),
    c("GET", "auth/cert/crls/empty"),
    c("LIST", "auth/cert/crls"),
    c("LIST", "auth/cert/crls?limit=1"),
    c("DELETE", LIST),
    c("DELETE", LIST),
    # configuration
    c("GET", "auth/cert/config", ignore=("data.enable_metadata_on_failures",)),
    c("POST", "auth/cert/config", {}),
    c("POST", "auth/cert/config", {"disable_binding": True, "ocsp_cache_size": 100}),
    c("POST", "auth/cert/config", {"ocsp_cache_size": 1}),
    c("POST", "auth/cert/config", {"disable_binding": "maybe"}),
    c("POST", "auth/cert/config", {"enable_metadata_on_failures": True}, differs=FIELD, allowed=(204,)),
    c("GET", "auth/cert/config", ignore=("data.enable_metadata_on_failures",)),
    c("DELETE", "auth/cert/config"),
    # logins
    c("GET", "auth/cert/login"),
    c("POST", "auth/cert/login", {}, token=None, differs=NO_TLS, allowed=(400,)),
    c("POST", "auth/cert/login", {"name": "web"}, token=None, differs=NO_TLS, allowed=(400,)),
    c("DELETE", "sys/auth/cert"),
)
