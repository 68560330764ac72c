"""What is measured, as a table."""

from dataclasses import dataclass

MOUNT = "secret"
SECRETS_COUNT = 1_000
POLICY_NAME = "bench"
POLICY = f"""
path "{MOUNT}/*" {{ capabilities = ["create", "read", "update", "list"] }}
path "auth/token/create" {{ capabilities = ["update"] }}
"""
WRITE_BODY = '{"data":{"username":"application","password":"Vq3x0m8ZkB1tY7cW5nD2hL9s"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of request; a path with `{n}` goes through all prepared secrets in turn."""

    name: str
    method: str
    path: str
    body: str = ""

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
    Scenario(name="sys/health", method="GET", path="/v1/sys/health"),
)
