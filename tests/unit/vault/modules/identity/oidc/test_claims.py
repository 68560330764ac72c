"""The claims of a token."""

from vault.logical import json
from vault.logical.args import Number
from vault.modules.identity.oidc.claims import make_payload


def test_added_claims_take_the_place_of_none() -> None:
    """What the service says comes first, then what is added, in its order; numbers stay as they were written."""
    more = ({"sub": "x", "nonce": "n"}, {"nonce": "y", "exp": 0, "big": Number("1e400")})
    payload = make_payload(issuer="i", subject="s", audience="a", now=7.9, ttl_seconds=3, more=more)
    own = {"iss": "i", "namespace": "root", "sub": "s", "aud": "a", "iat": 7, "exp": 10}
    assert json.decode(payload) == {**own, "nonce": "n", "big": Number("1e400")}
