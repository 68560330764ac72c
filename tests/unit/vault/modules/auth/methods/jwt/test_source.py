"""What a worker knows of providers, and how often it asks them."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.jwt_forge import row, rsa_key
from tests.unit.vault.modules.system.fakes import FakeClock
from vault import limits
from vault.modules.auth.methods.jwt.config import Config
from vault.modules.auth.methods.jwt.key import parse_key_set
from vault.modules.auth.methods.jwt.source import Sources, parse_provider
from vault.modules.auth.outbound import Crowded, Unreachable

CONFIG = Config(jwks_url="https://p.example/keys")
FOUND = Config(oidc_discovery_url="https://p.example")


class Outside:
    """A provider whose answers the test decides."""

    def __init__(self) -> None:
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.asked: list[str] = []
        self.crowded = False

    def fetch_object(self, url: str, ca_pem: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Return a document, or fail."""
        self.asked.append(url)
        if self.crowded:
            raise Crowded("too many requests to other servers at once")
        if url not in self.documents:
            raise Unreachable("no connection, or no answer")
        return self.documents[url]


@pytest.fixture
def outside() -> Outside:
    """Return the provider."""
    made = Outside()
    made.documents["https://p.example/keys"] = {"keys": [row(rsa_key(), kid="one")]}
    return made


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock."""
    return FakeClock()


@pytest.fixture
def sources(outside: Outside, clock: FakeClock) -> Sources:
    """Return what the worker knows."""
    return Sources(outside, clock)


def test_unknown_keys_make_it_ask_at_a_bounded_rate(sources: Sources, outside: Outside, clock: FakeClock) -> None:
    """A made up key id costs one question in ten seconds; a new key is found by it."""
    for number in range(100):
        sources.list_keys(CONFIG, f"made up {number}")
    assert len(outside.asked) == 1
    outside.documents["https://p.example/keys"] = {"keys": [row(rsa_key(), kid="two")]}
    assert [key.id for key in sources.list_keys(CONFIG, "two")] == ["one"]
    clock.advance(limits.JWT_KEYS_RETRY_SECONDS)
    assert [key.id for key in sources.list_keys(CONFIG, "two")] == ["two"]
    assert len(outside.asked) == 2


def test_withdrawn_key_is_forgotten(sources: Sources, outside: Outside, clock: FakeClock) -> None:
    """After some minutes the key set is fetched anew, though the key is known."""
    assert sources.list_keys(CONFIG, "one")
    outside.documents["https://p.example/keys"] = {"keys": []}
    clock.advance(limits.JWT_KEYS_FRESH_SECONDS)
    assert sources.list_keys(CONFIG, "one") == ()


def test_source_that_could_not_be_asked_is_not_blamed(sources: Sources, outside: Outside, clock: FakeClock) -> None:
    """Too many others were being asked: what is known stays good, and the next login asks again."""
    outside.crowded = True
    with pytest.raises(Unreachable, match="too many"):
        sources.list_keys(CONFIG, "one")
    outside.crowded = False
    assert sources.list_keys(CONFIG, "one")
    outside.crowded = True
    clock.advance(limits.JWT_KEYS_FRESH_SECONDS)
    assert [key.id for key in sources.list_keys(CONFIG, "one")] == ["one"]


def test_provider_that_is_gone_is_remembered_for_a_while(sources: Sources, outside: Outside, clock: FakeClock) -> None:
    """Then nothing holds any more; it is asked no more often than every few seconds."""
    sources.list_keys(CONFIG)
    del outside.documents["https://p.example/keys"]
    clock.advance(limits.JWT_KEYS_FRESH_SECONDS)
    for _ in range(10):
        assert sources.list_keys(CONFIG, "one")
    assert len(outside.asked) == 2
    clock.advance(limits.JWT_KEYS_KEPT_SECONDS)
    with pytest.raises(Unreachable, match="no connection"):
        sources.list_keys(CONFIG, "one")


def test_fresh_answer_is_demanded_when_a_configuration_is_written(sources: Sources, outside: Outside) -> None:
    """What is remembered does not vouch for a source."""
    sources.list_keys(CONFIG)
    del outside.documents["https://p.example/keys"]
    with pytest.raises(Unreachable):
        sources.list_keys(CONFIG, fresh=True)


def test_failed_try_of_an_operator_is_not_held_against_the_source(sources: Sources, outside: Outside) -> None:
    """Put right a moment later, on whichever worker, it can be used at once."""
    document = outside.documents.pop("https://p.example/keys")
    with pytest.raises(Unreachable):
        sources.list_keys(CONFIG, fresh=True)
    outside.documents["https://p.example/keys"] = document
    assert sources.list_keys(CONFIG)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "https://p.example/"},
        {"jwks_uri": "http://p.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"jwks_uri": 5},
        {"token_endpoint": "http://p.example/token"},
        {"userinfo_endpoint": "ftp://p.example"},
    ],
)
def test_discovery_document_of_somebody_else_is_refused(changes: dict[str, Any]) -> None:
    """Another issuer, or a way out of TLS."""
    document = {"issuer": "https://p.example", "jwks_uri": "https://p.example/keys", **changes}
    with pytest.raises(ValueError, match="discovery"):
        parse_provider(document, "https://p.example")


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQ", "e": "AQAB"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "DSA"},
        {"kty": ["RSA"]},
        {"kid": 5, **row(rsa_key())},
        {"use": "enc", **row(rsa_key())},
        {"alg": "HS256", **row(rsa_key())},
        {"alg": 5, **row(rsa_key())},
        {"d": "AQ", **row(rsa_key())},
        "text",
        None,
    ],
)
def test_keys_that_cannot_verify_are_left_out(bad: Any) -> None:
    """Secret, weak, private or broken ones, and those for something else; the good one beside them is taken."""
    keys = parse_key_set({"keys": [bad, row(rsa_key(), kid="good")]})
    assert [key.id for key in keys] == ["good"]


def test_key_of_another_kind_is_never_tried() -> None:
    """An algorithm fits the key, and the one that the key set names for it."""
    (key,) = parse_key_set({"keys": [row(rsa_key(), alg="RS256", kid="one")]})
    assert key.fits("one", "RS256")
    assert not key.fits("two", "RS256")
    for algorithm in ("HS256", "ES256", "none", "RS512"):
        assert not key.fits("one", algorithm)
