"""Makes tokens, honest and forged ones. The keys are made once per run."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_RSA: dict[str, rsa.RSAPrivateKey] = {}
_EC: dict[str, ec.EllipticCurvePrivateKey] = {}


def rsa_key(name: str = "ours") -> rsa.RSAPrivateKey:
    """Return the RSA key of that name."""
    if name not in _RSA:
        _RSA[name] = rsa.generate_private_key(65537, 2048)
    return _RSA[name]


def ec_key(name: str = "ours") -> ec.EllipticCurvePrivateKey:
    """Return the elliptic key of that name."""
    if name not in _EC:
        _EC[name] = ec.generate_private_key(ec.SECP256R1())
    return _EC[name]


def pem(key: Any) -> str:
    """Return the public part of a key."""
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def row(key: rsa.RSAPrivateKey, **more: str) -> dict[str, Any]:
    """Return the public part of a key as a row of a key set."""
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), **more}


def claims(**changes: Any) -> dict[str, Any]:
    """Return good claims with changes; None takes one away."""
    now = int(time.time())
    good = {"iss": "us", "aud": "vault", "sub": "bob", "iat": now, "exp": now + 36_000}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def sign(key: Any = None, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token."""
    return jwt.PyJWS().encode(json.dumps(claims(**changes)).encode(), key or rsa_key(), algorithm, headers)


def part(value: Any) -> str:
    """Return one part of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def sign_raw(header: Any, payload: Any, key: Any = None) -> str:
    """Return a token signed by RS256, whatever stands in it."""
    signed = f"{part(header)}.{part(payload)}"
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(signed.encode(), key or rsa_key())
    return f"{signed}.{part(signature)}"


def sign_with_secret(secret: bytes, header: dict[str, Any]) -> str:
    """Return a token signed by a shared secret."""
    signed = f"{part(header)}.{part(claims())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def attacks() -> dict[str, str]:
    """Return tokens that nobody may log in with, where the keys are `ours`."""
    evil, public = rsa_key("evil"), pem(rsa_key())
    header = {"alg": "RS256", "typ": "JWT"}
    unsigned = {f"alg {name!r}": f"{part({'alg': name})}.{part(claims())}." for name in ("none", "None", "NONE", "nOnE", "")}
    confused = {
        f"HS256 with the public key {name}": sign_with_secret(secret, {"alg": "HS256"})
        for name, secret in {"pem": public.encode(), "stripped": public.strip().encode(), "empty": b""}.items()
    }
    embedded = {
        name: sign_raw({**header, name: value}, claims(), evil)
        for name, value in {
            "jwk": row(evil),
            "jku": "http://127.0.0.1:9/keys",
            "x5u": "http://127.0.0.1:9/cert",
            "x5c": [part(b"certificate")],
        }.items()
    }
    named = {
        f"kid {kid!r}": sign_raw({**header, "kid": kid}, claims(), evil)
        for kid in ("../../../dev/null", "' UNION SELECT 'x", "http://127.0.0.1:9/", "x" * 5000, 5, None, ["a"], {"a": 1})
    }
    doubled = json.dumps(claims()).replace('"sub": "bob"', '"sub": "eve", "sub": "bob"').encode()
    header_doubled = b'{"alg":"HS256","alg":"RS256"}'
    formed = {
        "crit": sign_raw({**header, "crit": ["exp2"], "exp2": 1}, claims()),
        "crit empty": sign_raw({**header, "crit": []}, claims()),
        "b64": sign_raw({**header, "b64": False}, claims()),
        "doubled claim": sign_raw(header, doubled),
        "doubled header": sign_raw(header_doubled, claims()),
        "no object": sign_raw(header, [1]),
        "no JSON": sign_raw(header, b"\xff\xfe"),
        "NUL in a claim": sign_raw(header, claims(sub="bo\0b")),
        "deep": sign_raw(header, b'{"a":' * 5000 + b"1" + b"}" * 5000),
        "huge number": sign_raw(header, b'{"iss":"us","aud":"vault","sub":"bob","exp":1e999999}'),
        "huge": sign(more="x" * 200_000),
        "encrypted": "a.b.c.d.e",
        "blank": " ",
        "no signature": sign().rpartition(".")[0] + ".",
        "changed": ".".join((sign().split(".")[0], part(claims(sub="eve")), sign().split(".")[2])),
        "line end": sign() + "\n",
        "foreign key": sign(evil),
        "foreign algorithm": sign(ec_key("evil"), "ES256"),
    }
    return unsigned | confused | embedded | named | formed | _wrong_claims()


def _wrong_claims() -> dict[str, str]:
    now = int(time.time())
    wrong: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 100},
        "not yet": {"nbf": now + 30_000},
        "from the future": {"iat": now + 30_000},
        "without times": {"exp": None, "iat": None},
        "times of zero": {"exp": 0, "iat": 0},
        "old without expiry": {"exp": None, "iat": now - 300},
        "early by its expiry": {"iat": None},
        "text as time": {"exp": str(now + 100)},
        "bool as time": {"exp": True},
        "list as time": {"exp": [now + 100]},
        "far time": {"exp": 10**30},
        "wrong issuer": {"iss": "them"},
        "issuer list": {"iss": ["us"]},
        "no issuer": {"iss": None},
        "wrong audience": {"aud": "other"},
        "no audience": {"aud": None},
        "empty audience": {"aud": []},
        "audience object": {"aud": {"vault": 1}},
        "audience number": {"aud": 1},
        "audience mixed": {"aud": ["vault", 1]},
        "audience nested": {"aud": [["vault"]]},
        "no user": {"sub": None},
        "empty user": {"sub": ""},
        "user number": {"sub": 1},
        "user list": {"sub": ["bob"]},
        "user with control": {"sub": "bob\x1b[0m"},
        "long user": {"sub": "b" * 600},
    }
    return {name: sign(**changes) for name, changes in wrong.items()}
