"""Key pairs that sign JSON web tokens."""

import base64
import hashlib
import json

import jwt
import pytest

from vault.crypto.jws import ALGORITHMS, KeyPair, Signer, find_payload, make_pair


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    """Return a pair that costs little."""
    return make_pair("ES256")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_is_checked_by_the_public_key(algorithm: str) -> None:
    """What a pair signs, its published half checks; the private half is not in it."""
    made = make_pair(algorithm)
    token = Signer(made).sign(b'{"sub":"x"}')
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": made.id, "typ": "JWT"}
    assert jwt.decode(token, jwt.PyJWK(dict(made.public)).key, algorithms=[algorithm]) == {"sub": "x"}
    assert find_payload(token, [made.public]) == b'{"sub":"x"}'
    assert not {"d", "p", "q", "k"} & made.public.keys()
    assert (made.public["use"], made.public["kid"], made.public["alg"]) == ("sig", made.id, algorithm)


def test_other_key_of_the_same_name_does_not_check(pair: KeyPair) -> None:
    """The name of a key is not its signature."""
    token = Signer(pair).sign(b"{}")
    other = {**make_pair("ES256").public, "kid": pair.id}
    assert find_payload(token, [other]) is None
    assert find_payload(token, []) is None


def test_altered_token_does_not_check(pair: KeyPair) -> None:
    """Whatever is changed in a token, it is none of ours any more."""
    head, body, signature = Signer(pair).sign(b'{"sub":"x"}').split(".")
    forged = base64.urlsafe_b64encode(b'{"sub":"y"}').rstrip(b"=").decode()
    assert find_payload(f"{head}.{forged}.{signature}", [pair.public]) is None
    for alg in ("none", "HS256"):
        other = base64.urlsafe_b64encode(json.dumps({"alg": alg, "kid": pair.id}).encode()).rstrip(b"=").decode()
        assert find_payload(f"{other}.{body}.", [pair.public]) is None
        assert find_payload(f"{other}.{body}.{signature}", [pair.public]) is None


@pytest.mark.parametrize("text", ["", "abc", "a.b", "a.b.c", "....", "é.é.é", "\ud800.a.b"])
def test_what_is_no_token_is_said_to_be_none(text: str, pair: KeyPair) -> None:
    """Text that is no token in compact form is refused as such."""
    with pytest.raises(ValueError, match="compact"):
        find_payload(text, [pair.public])


def test_private_half_is_not_shown(pair: KeyPair) -> None:
    """A pair can be printed by accident."""
    assert pair.private.hex() not in repr(pair)
    assert "private" not in repr(pair)


@pytest.mark.parametrize(("algorithm", "hasher"), [("ES256", "sha256"), ("ES384", "sha384"), ("ES512", "sha512"), ("EdDSA", "sha512")])
def test_hash_claim_is_half_of_the_hash_of_the_signature(algorithm: str, hasher: str) -> None:
    """OpenID Connect Core 3.1.3.6."""
    digest = hashlib.new(hasher, b"token").digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    assert Signer(make_pair(algorithm)).hash_claim("token") == half
