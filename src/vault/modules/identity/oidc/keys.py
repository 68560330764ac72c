"""The life of a named key: making it, signing with it, replacing it."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from vault.crypto.jws import KeyPair, Signer, make_pair
from vault.errors import InvalidRequest
from vault.modules.identity.oidc.rows import KEYS, NamedKey, RetiredKey
from vault.storage.view import View

_decode = msgspec.json.Decoder(NamedKey).decode


class Supply:
    """Key pairs that were made before the transaction; more are made where not enough were foreseen."""

    def __init__(self, made: Iterable[KeyPair] | None) -> None:
        self._made = list(made or ())

    def take(self, algorithm: str) -> KeyPair:
        """Return a pair that nobody else has."""
        for pair in self._made:
            if pair.algorithm == algorithm:
                self._made.remove(pair)
                return pair
        return make_pair(algorithm)


def make_pairs(algorithm: str, count: int) -> tuple[KeyPair, ...]:
    """Return new pairs: slow, a tenth of a second for each RSA key."""
    return tuple(make_pair(algorithm) for _ in range(count))


def start(key: NamedKey, supply: Supply, now: float) -> NamedKey:
    """Return a key with new pairs of its algorithm; the former ones only check any more."""
    return replace(
        key,
        signing=supply.take(key.algorithm),
        following=supply.take(key.algorithm),
        retired=(*_keep(key, now), *_retire(key.signing, now + key.verification_ttl_seconds)),
        rotates_at=now + key.rotation_period_seconds,
    )


def rotate(key: NamedKey, supply: Supply, now: float, verification_ttl_seconds: int | None = None) -> NamedKey:
    """Return a key that signs with the pair that was announced, and announces another."""
    ttl_seconds = key.verification_ttl_seconds if verification_ttl_seconds is None else verification_ttl_seconds
    return replace(
        key,
        signing=key.following or supply.take(key.algorithm),
        following=supply.take(key.algorithm),
        retired=(*_keep(key, now), *_retire(key.signing, now + ttl_seconds)),
        rotates_at=now + key.rotation_period_seconds,
    )


def tidy(key: NamedKey, now: float) -> NamedKey:
    """Return a key without the retired ones that check nothing any more."""
    return replace(key, retired=_keep(key, now))


def _keep(key: NamedKey, now: float) -> tuple[RetiredKey, ...]:
    return tuple(retired for retired in key.retired if retired.expires_at > now)


def _retire(pair: KeyPair | None, expires_at: float) -> tuple[RetiredKey, ...]:
    return () if pair is None else (RetiredKey(public=pair.public, expires_at=expires_at),)


def is_due(key: NamedKey, now: float) -> bool:
    """Return whether it is time for the next pair."""
    return key.signing is not None and key.rotates_at <= now


def is_untidy(key: NamedKey, now: float) -> bool:
    """Return whether retired pairs can go."""
    return any(retired.expires_at <= now for retired in key.retired)


def require_started(storage: View, name: str, made: Iterable[KeyPair] | None, now: float) -> NamedKey | None:
    """Return a key that signs from now on, and that nobody deletes or shortens meanwhile."""
    key = KEYS.hold(storage, name)
    if key is None or key.signing is not None:
        return key
    key = start(key, Supply(made), now)
    KEYS.put(storage, name, key)
    return key


def foresee(storage: View, name: str) -> tuple[KeyPair, ...]:
    """Return pairs for a key that nobody has needed so far."""
    key = KEYS.find(storage, name)
    return make_pairs(key.algorithm, 2) if key is not None and key.signing is None else ()


def require_signer(storage: View, name: str) -> Signer:
    """Return what signs with a key; loaded once for as long as the row is unchanged."""
    entry = storage.get(KEYS.folder + name)
    if entry is None:
        raise InvalidRequest(f'key "{name}" not found')
    return entry.decode(_load)


def _load(value: bytes) -> Signer:
    key = _decode(value)
    if key.signing is None:
        raise InvalidRequest("the key has not been used by any role or client")
    return Signer(key.signing)
