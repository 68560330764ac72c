"""Requests to the auth method `kubernetes`: configuration and roles, and logins that end before any cluster is asked."""

from tests.compat.differential.case import c, junk
from tests.issuer import make

CONFIG = "auth/kubernetes/config"
ROLE = "auth/kubernetes/role/web"
NAMES = "names of roles are refused by us with 400 where the reference knows no such path"
NO_FILE = "ours says which field it misses, the reference which file"
LENIENT = "ours refuses what cannot be the host or the authority of an API; the reference takes it, and fails at logins"
BOTH = "a role that takes every service account is refused by us, as by Vault; the reference takes it"
PERIOD = "the reference quotes the durations twice"
SELECTOR = "a selector that a later write does not name stays with us; the reference drops it"
WHY = "ours names the claim in fewer words"

CA = make("root", authority=True).pem
GOOD = {"kubernetes_host": "https://127.0.0.1:1", "kubernetes_ca_cert": CA}
BOUND = {"bound_service_account_names": "web", "bound_service_account_namespaces": "apps"}
SELECTED = {"bound_service_account_namespace_selector": '{"matchLabels":{"a":"b"}}'}
# Of {"alg":"ES256"} and of {"alg":"none"}, with claims of apps/web that nobody has signed.
HEAD = "eyJhbGciOiJFUzI1NiJ9"
CLAIMS = "eyJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6ImFwcHMiLCJzZXJ2aWNlYWNjb3VudCI6eyJuYW1lIjoid2ViIiwidWlkIjoidSJ9fX0"
TOKEN, UNSIGNED = f"{HEAD}.{CLAIMS}.c2ln", f"eyJhbGciOiJub25lIn0.{CLAIMS}."
OTHER = f"{HEAD}.eyJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6ImFwcHMiLCJzZXJ2aWNlYWNjb3VudCI6eyJuYW1lIjoiZGIiLCJ1aWQiOiJ1In19fQ.c2ln"
EXPIRED = f"{HEAD}.eyJleHAiOjEwMDB9.c2ln"
JUNK = ("abc", -5, 1.5, True, [1], {"a": 1}, "", None, "30m")

TABLE = (
    c("POST", "sys/auth/kubernetes", {"type": "kubernetes"}),
    c("GET", CONFIG),
    c("POST", CONFIG),
    c("POST", CONFIG, {}),
    c("POST", CONFIG, {"kubernetes_host": "https://127.0.0.1:1"}, differs=NO_FILE),
    c("POST", CONFIG, {"kubernetes_host": "https://127.0.0.1:1", "disable_local_ca_jwt": True}),
    c("POST", CONFIG, GOOD | {"kubernetes_ca_cert": "nonsense"}, differs=LENIENT, allowed=(400,)),
    c("POST", CONFIG, GOOD | {"kubernetes_host": "a::"}, differs=LENIENT, allowed=(400,)),
    c("POST", CONFIG, GOOD | {"kubernetes_host": "http://10.0.0.1"}, differs=LENIENT, allowed=(400,)),
    c("POST", CONFIG, GOOD | {"pem_keys": "nonsense"}),
    c("POST", CONFIG, GOOD | {"disable_iss_validation": "maybe"}),
    c("POST", CONFIG, GOOD, token=None),
    c("POST", CONFIG, GOOD | {"pem_keys": [CA.strip()], "token_reviewer_jwt": "abc", "issuer": "i", "disable_iss_validation": False}),
    c("GET", CONFIG),
    c("POST", CONFIG, GOOD),
    c("GET", CONFIG),
    c("DELETE", CONFIG),
    # roles
    c("LIST", "auth/kubernetes/role"),
    c("GET", "auth/kubernetes/role"),
    c("GET", ROLE),
    c("DELETE", ROLE),
    c("POST", ROLE, {}),
    c("POST", ROLE, {"bound_service_account_names": "a"}),
    c("POST", ROLE, BOUND | {"bound_service_account_names": "*,a"}),
    c("POST", ROLE, BOUND | {"bound_service_account_namespaces": ["a", "*"]}),
    c("POST", ROLE, BOUND | {"alias_name_source": "x"}),
    c("POST", ROLE, BOUND | {"bound_service_account_namespace_selector": "{"}),
    c("POST", ROLE, BOUND | {"token_period": "9000h"}, differs=PERIOD),
    c("POST", ROLE, BOUND | {"token_ttl": "2h", "token_max_ttl": "1h"}),
    c("POST", ROLE, BOUND | {"token_max_ttl": "9000h"}),
    c("GET", ROLE),
    c("DELETE", ROLE),
    c("POST", "auth/kubernetes/role/all", dict.fromkeys(BOUND, "*"), differs=BOTH, allowed=(400,)),
    c("DELETE", "auth/kubernetes/role/all"),
    c("POST", ROLE, BOUND | SELECTED | {"policies": "a,b", "ttl": 60, "max_ttl": "2h", "num_uses": 3, "audience": "x"}),
    c("GET", ROLE),
    c("POST", ROLE, {"token_policies": "c", "audience": "", "alias_name_source": "serviceaccount_name"} | SELECTED),
    c("GET", ROLE),
    c("POST", ROLE, {"token_num_uses": 0, "alias_name_source": ""} | SELECTED),
    c("POST", ROLE, {"token_num_uses": 0}),
    c("GET", ROLE, differs=SELECTOR),
    *(junk("POST", ROLE, {"token_ttl": value} | SELECTED, value) for value in JUNK),
    c("POST", "auth/kubernetes/role/UP", BOUND),
    c("GET", "auth/kubernetes/role/up"),
    c("POST", "auth/kubernetes/role/-a", BOUND, differs=NAMES, allowed=(400,)),
    c("LIST", "auth/kubernetes/role"),
    c("LIST", "auth/kubernetes/role?limit=1"),
    c("LIST", "auth/kubernetes/role?after=up"),
    # logins
    c("POST", "auth/kubernetes/role/login", BOUND),
    c("GET", "auth/kubernetes/login"),
    c("POST", "auth/kubernetes/login", {}, token=None),
    c("POST", "auth/kubernetes/login", {"role": "login"}, token=None),
    c("POST", "auth/kubernetes/login", {"jwt": "x"}, token=None),
    c("POST", "auth/kubernetes/login", {"role": "none", "jwt": "x"}, token=None),
    c("POST", "auth/kubernetes/login", {"role": "login", "jwt": "x"}, token=None),
    c("POST", "auth/kubernetes/login", {"role": "login", "jwt": TOKEN}, token=None),
    c("POST", "auth/kubernetes/login", {"role": "login", "jwt": UNSIGNED}, token=None),
    c("POST", "auth/kubernetes/login", {"role": "login", "jwt": OTHER}, token=None),
    c("POST", "auth/kubernetes/login", {"role": "login", "jwt": EXPIRED}, token=None, differs=WHY),
    c("DELETE", "sys/auth/kubernetes"),
)
