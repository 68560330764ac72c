"""What is measured, as a table."""

import json
from dataclasses import dataclass

MOUNT = "secret"
SECRETS_COUNT = 1_000
POLICY_NAME = "bench"
POLICY = f"""
path "{MOUNT}/*" {{ capabilities = ["create", "read", "update", "list"] }}
path "auth/token/create" {{ capabilities = ["update"] }}
"""
ROLE_ID = "0b8f3a52-6d0e-4c39-9a57-benchmarks"
SECRET_ID = "6f0d0c2e-51f7-4a0b-8f3b-benchmarks"  # noqa: S105 - of a throw-away server; chosen, so that all servers have the same
USER, PASSWORD = "bench", "Vq3x0m8ZkB1tY7cW5nD2hL9s"
HASH_COST = 10  # what bao makes of a password; both servers are given the same hash
WRITE_BODY = '{"data":{"username":"application","password":"Vq3x0m8ZkB1tY7cW5nD2hL9s"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of request; a path with `{n}` goes through all prepared secrets in turn."""

    name: str
    method: str
    path: str
    body: str = ""
    public: bool = False  # sent without a token
    connections_max: int = 1_000_000  # where more would only wait in line

    @property
    def count(self) -> int:
        """How many different requests there are."""
        return SECRETS_COUNT if "{n}" in self.path else 1


SCENARIOS = (
    Scenario(name="kv v2 read", method="GET", path=f"/v1/{MOUNT}/data/read/{{n}}"),
    Scenario(name="kv v2 write", method="POST", path=f"/v1/{MOUNT}/data/write/{{n}}", body=WRITE_BODY),
    Scenario(name="kv v2 list of 1,000", method="GET", path=f"/v1/{MOUNT}/metadata/read?list=true"),  # wrk refuses LIST
    Scenario(name="token create", method="POST", path="/v1/auth/token/create", body='{"policies":["default"],"ttl":"1h"}'),
    Scenario(name="token lookup-self", method="GET", path="/v1/auth/token/lookup-self"),
    Scenario(
        name="approle login",
        method="POST",
        path="/v1/auth/approle/login",
        body=json.dumps({"role_id": ROLE_ID, "secret_id": SECRET_ID}),
        public=True,
    ),
    Scenario(
        name="userpass login",
        method="POST",
        path=f"/v1/auth/userpass/login/{USER}",
        body=json.dumps({"password": PASSWORD}),
        public=True,
        connections_max=4,  # each keeps a core busy for 50 ms: with 16 of them a short round would end before its first answer
    ),
    Scenario(name="sys/health", method="GET", path="/v1/sys/health"),
)
