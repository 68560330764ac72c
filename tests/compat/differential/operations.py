"""Requests to what operators look at and limit: foreign origins, headers, quotas, metrics, requests in flight."""

from tests.compat.differential.case import c

FRAMING = "a header that decides where an answer ends, or who may read it, is refused by us"
SPLIT = "a value of more than one line is refused by us"
STAR = "credentials for all origins are refused by us"
NULL = "`null` is no origin for us"
LEASES = "quotas of leases are not offered by the reference"
KINDS = "another kind of quota is refused by us, not taken for this one"
PREFLIGHT = "204, as Vault answers"
LATER = "not offered by us"
# The reference lists in no order.
UNORDERED = ("data.keys",)
PAGE = {"Origin": "https://a.example"}
ASK = {"Access-Control-Request-Method": "PUT"}
FOREIGN = {"Origin": "https://b.example"}

CORS = (
    c("GET", "sys/config/cors"),
    c("GET", "sys/config/cors", token=None),
    c("POST", "sys/config/cors", {}),
    c("POST", "sys/config/cors", {"allowed_origins": ""}),
    c("POST", "sys/config/cors", {"allowed_origins": "*,https://a.example"}),
    c("POST", "sys/config/cors", {"allowed_origins": "*", "allow_credentials": True}, differs=STAR, allowed=(400,)),
    c("DELETE", "sys/config/cors"),
    c("POST", "sys/config/cors", {"allowed_origins": "null"}, differs=NULL, allowed=(400,)),
    c("DELETE", "sys/config/cors"),
    c("GET", "sys/health", token=None, headers=PAGE, ignore=("performance_standby",)),
    c("OPTIONS", "secret/data/a", token=None, headers=PAGE | ASK, differs="405 for every unknown method", allowed=(405,)),
    c("PUT", "sys/config/cors", {"allowed_origins": ["https://a.example", "https://c.example"], "allowed_headers": "X-Foo,X-Bar"}),
    c("GET", "sys/config/cors"),
    c("LIST", "sys/config/cors"),
    c("OPTIONS", "secret/data/a", token=None, headers=PAGE | ASK, differs=PREFLIGHT, allowed=(204,)),
    c("OPTIONS", "secret/data/a", token=None, headers=FOREIGN | ASK),
    c(
        "OPTIONS",
        "secret/data/a",
        token=None,
        headers=PAGE | {"Access-Control-Request-Method": "FOO"},
        differs="with a body",
        allowed=(405,),
    ),
    c("OPTIONS", "secret/data/a", token=None, headers=PAGE, differs="with a body", allowed=(405,)),
    c("GET", "secret/data/nosuch", headers=PAGE),
    c("GET", "secret/data/nosuch", headers=FOREIGN),
    c("PUT", "secret/data/a", {"data": {}}, headers=FOREIGN),
    c("GET", "secret/data/a"),
    c("DELETE", "sys/config/cors"),
    c("GET", "sys/config/cors"),
    c("GET", "secret/data/nosuch", headers=FOREIGN),
)

HEADERS = (
    c("GET", "sys/config/ui/headers"),
    c("LIST", "sys/config/ui/headers"),
    c("LIST", "sys/config/ui/headers", token=None),
    c("POST", "sys/config/ui/headers/X-Foo", {"values": ["a", "b"]}),
    c("GET", "sys/config/ui/headers/X-Foo"),
    c("GET", "sys/config/ui/headers/x-foo?multivalue=true"),
    c("GET", "sys/config/ui/headers/x-foo?multivalue=x"),
    c("POST", "sys/config/ui/headers/Bar", {"values": "a,b"}),
    c("GET", "sys/config/ui/headers/Bar?multivalue=1"),
    c("POST", "sys/config/ui/headers/Bar", {}),
    c("POST", "sys/config/ui/headers/Bar", {"values": []}),
    c("POST", "sys/config/ui/headers/Content-Security-Policy", {"values": "default-src 'self'"}),
    c("POST", "sys/config/ui/headers/X-Vault-Foo", {"values": ["a"]}),
    c("POST", "sys/config/ui/headers/Content-Length", {"values": ["1"]}, differs=FRAMING, allowed=(400,)),
    c("POST", "sys/config/ui/headers/Access-Control-Allow-Origin", {"values": ["*"]}, differs=FRAMING, allowed=(400,)),
    c("POST", "sys/config/ui/headers/Baz", {"values": "a\r\nX: b"}, differs=SPLIT, allowed=(400,)),
    c("GET", "sys/config/ui/headers/nosuch"),
    c("DELETE", "sys/config/ui/headers/nosuch"),
    c("DELETE", "sys/config/ui/headers/x-foo"),
    c("GET", "sys/config/ui/headers/X-Foo"),
    c("DELETE", "sys/config/ui/headers/Bar"),
    c("DELETE", "sys/config/ui/headers/Content-Security-Policy"),
)

QUOTAS = (
    c("GET", "sys/quotas/config"),
    c("GET", "sys/quotas/config", token=None),
    c("LIST", "sys/quotas/rate-limit"),
    c("GET", "sys/quotas"),
    c("GET", "sys/quotas/rate-limit"),
    c("GET", "sys/quotas/lease-count/x", differs=LEASES),
    c("LIST", "sys/quotas/lease-count", differs=LEASES),
    c("POST", "sys/quotas/lease-count/x", {"max_leases": 0}, differs=LEASES, allowed=(400,)),
    c("POST", "sys/quotas/rate-limit/q", {}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 0}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": -1}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": "x"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "path": "nosuch/x"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "path": "secret", "interval": "-1"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "path": "secret", "block_interval": -1}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "path": "secret", "interval": "x"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "path": "secret", "role": "x"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "role": "x"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "path": "auth/token", "role": "x"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1, "path": "auth/token/create", "role": "x"}),
    c("POST", "sys/quotas/rate-limit/q", {"rate": 1000, "path": "identity", "type": "lease-count"}, differs=KINDS, allowed=(400,)),
    c("DELETE", "sys/quotas/rate-limit/q"),
    c("POST", "sys/quotas/rate-limit/g", {"rate": 100000}),
    c("GET", "sys/quotas/rate-limit/g"),
    c("POST", "sys/quotas/rate-limit/g2", {"rate": 100000}),
    c("DELETE", "sys/quotas/rate-limit/g"),
    c("POST", "sys/quotas/rate-limit/p", {"rate": "3.5", "path": "/secret/data/foo/", "interval": "1h", "block_interval": "5s"}),
    c("GET", "sys/quotas/rate-limit/p"),
    c("POST", "sys/quotas/rate-limit/m", {"rate": 100000, "path": "secret"}),
    c("GET", "sys/quotas/rate-limit/m"),
    c("POST", "sys/quotas/rate-limit/m2", {"rate": 100000, "path": "secret/"}),
    c("POST", "sys/quotas/rate-limit/s", {"rate": 100000, "path": "secret/data/*", "inheritable": True}),
    c("GET", "sys/quotas/rate-limit/s"),
    c("LIST", "sys/quotas/rate-limit", ignore=UNORDERED),
    *(c("GET", "secret/data/foo") for _ in range(5)),
    c("PUT", "secret/data/foo", {"data": {}}),
    c("GET", "secret/data/foo", token=None),
    c("GET", "secret/data/other", token=None),
    c("GET", "secret/data/other"),
    c("POST", "sys/quotas/config", {"rate_limit_exempt_paths": "secret/data/foo", "enable_rate_limit_audit_logging": True}),
    c("GET", "sys/quotas/config"),
    c("GET", "secret/data/foo"),
    c("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": "x"}),
    c("POST", "sys/quotas/config", {}),
    c("GET", "sys/quotas/config"),
    c("GET", "secret/data/foo"),
    c("DELETE", "sys/quotas/rate-limit/p"),
    c("DELETE", "sys/quotas/rate-limit/m"),
    c("DELETE", "sys/quotas/rate-limit/s"),
    c("DELETE", "sys/quotas/rate-limit/nosuch"),
    c("GET", "sys/quotas/rate-limit/nosuch"),
    c("GET", "secret/data/foo"),
)

LOOKS = (
    c("GET", "sys/metrics", ignore=("",)),
    c("GET", "sys/metrics?format=x", differs="in our one form of errors"),
    c("GET", "sys/metrics", token=None, differs="its development mode opens them to strangers", allowed=(403,)),
    c("PUT", "sys/metrics", differs="in our one form of errors"),
    c("GET", "sys/in-flight-req", ignore=("",)),
    c("GET", "sys/in-flight-req", token=None),
    c("PUT", "sys/in-flight-req"),
    c("GET", "sys/config/state/sanitized", ignore=("data",)),
    c("GET", "sys/config/state/sanitized", token=None),
    c("PUT", "sys/config/state/sanitized"),
)

NAMES = "other loggers"
LOGGERS = (
    c("GET", "sys/loggers", differs=NAMES),
    c("GET", "sys/loggers", token=None),
    c("GET", "sys/loggers/nosuch", ignore=("warnings",)),
    c("POST", "sys/loggers", {"level": "foo"}),
    c("POST", "sys/loggers", {}),
    c("POST", "sys/loggers/nosuch", {"level": "warn"}),
    c("DELETE", "sys/loggers/nosuch"),
    c("POST", "sys/loggers", {"level": "warn"}),
    c("DELETE", "sys/loggers"),
    c("LIST", "sys/loggers", differs="there is nothing to list for us", allowed=(404,)),
)

TABLE = (*CORS, *HEADERS, *QUOTAS, *LOOKS, *LOGGERS)
