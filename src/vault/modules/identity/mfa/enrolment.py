"""Who has which secret, and how often somebody may still try: rows per method and entity.

An attempt is paid for before the code is looked at, in a transaction of its own: however many requests come at once, and to however
many workers, no more codes are judged than are allowed. The code itself is spent in the transaction of the login, on the condition
that the row is as it was read: one of any number of logins with the same code succeeds.
"""

from dataclasses import dataclass, replace

import msgspec

from vault import limits
from vault.errors import InvalidRequest, SecondFactorFailed
from vault.modules.identity.mfa.table import Enforcement, Method, read_table, save_table
from vault.modules.identity.mfa.totp import TotpSecret, find_step
from vault.secret import Secret
from vault.storage.transaction import Transaction

_SECRET = "core/mfa/secret/"  # noqa: S105 - a path
_ATTEMPTS = "core/mfa/attempts/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What was tried since the last success."""

    count: int = 0
    blocked_until: float = 0.0  # unix seconds


def decode_secret(value: bytes) -> TotpSecret:
    """Return the secret stored as `value`."""
    return msgspec.json.decode(value, type=TotpSecret)


def decode_attempts(value: bytes) -> Attempts:
    """Return the attempts stored as `value`."""
    return msgspec.json.decode(value, type=Attempts)


def _place(folder: str, method_id: str, entity_id: str) -> str:
    return f"{folder}{method_id}/{entity_id}"


def find_secret(transaction: Transaction, method_id: str, entity_id: str) -> TotpSecret | None:
    """Return the secret of an entity."""
    entry = transaction.get(_place(_SECRET, method_id, entity_id))
    return None if entry is None else entry.decode(decode_secret)


def put_secret(transaction: Transaction, method_id: str, entity_id: str, secret: TotpSecret) -> None:
    """Store the secret of an entity."""
    transaction.put(_place(_SECRET, method_id, entity_id), msgspec.json.encode(secret))


def forget_secret(transaction: Transaction, method_id: str, entity_id: str) -> None:
    """Delete the secret of an entity. What was tried stays: a new secret gives nobody more attempts."""
    transaction.delete(_place(_SECRET, method_id, entity_id))


def forget_method(transaction: Transaction, method_id: str) -> None:
    """Delete all secrets of a method."""
    for folder in (_SECRET, _ATTEMPTS):
        transaction.delete_prefix(f"{folder}{method_id}/")


def forget_entity(transaction: Transaction, entity_id: str) -> None:
    """Delete all secrets of an entity."""
    for method_id in read_table(transaction).stored.methods:
        forget_secret(transaction, method_id, entity_id)
        transaction.delete(_place(_ATTEMPTS, method_id, entity_id))


def merge_entities(transaction: Transaction, source_ids: tuple[str, ...], target_id: str, *, force: bool) -> None:
    """Let secrets and enforcements of entities be those of one; raises InvalidRequest where two have secrets of one method.

    With `force` the secrets of the entity that goes on stay.
    """
    stored = read_table(transaction).stored
    for method_id in stored.methods:
        held = find_secret(transaction, method_id, target_id)
        for source_id in source_ids:
            secret = find_secret(transaction, method_id, source_id)
            if secret is not None and held is not None and not force:
                raise InvalidRequest(f"conflict in MFA secret ID {method_id!r} between entities {target_id!r} and {source_id!r}")
            if secret is not None and held is None:
                held = secret
                put_secret(transaction, method_id, target_id, secret)
    rules = {name: _rename_targets(rule, source_ids, target_id) for name, rule in stored.enforcements.items()}
    if rules != stored.enforcements:
        save_table(transaction, replace(stored, enforcements=rules))
    for source_id in source_ids:
        forget_entity(transaction, source_id)


def _rename_targets(rule: Enforcement, source_ids: tuple[str, ...], target_id: str) -> Enforcement:
    if set(source_ids).isdisjoint(rule.entity_ids):
        return rule
    return replace(rule, entity_ids=tuple(dict.fromkeys(target_id if item in source_ids else item for item in rule.entity_ids)))


def pay(transaction: Transaction, methods: tuple[Method, ...], entity_id: str, now: float) -> None:
    """Take one attempt for each method that has a secret; raises SecondFactorFailed where none is left.

    Commit it before any code is judged.
    """
    for method in methods:
        place = _place(_ATTEMPTS, method.id, entity_id)
        entry = transaction.get(place)
        before = Attempts() if entry is None else entry.decode(decode_attempts)
        if before.blocked_until > now:
            raise SecondFactorFailed
        if find_secret(transaction, method.id, entity_id) is None:
            continue  # no code of theirs is judged; of a newcomer, whose entity goes with the login, a row would stay for ever
        count = before.count + 1
        rounds, rest = divmod(count, method.max_validation_attempts)
        pause = 0.0 if rest else min(method.settings.period * 2.0 ** min(rounds - 1, 20), limits.MFA_BLOCK_SECONDS_MAX)
        transaction.put(place, msgspec.json.encode(Attempts(count=count, blocked_until=now + pause if pause else 0.0)))


def spend(transaction: Transaction, method: Method, entity_id: str, code: Secret, now: float) -> bool:
    """Use a code up; return whether it was one. Its attempt was paid for; a good code gives back all of them."""
    secret = find_secret(transaction, method.id, entity_id)
    step = None if secret is None else find_step(secret, code, now)
    if secret is None or step is None:
        return False
    put_secret(transaction, method.id, entity_id, replace(secret, last_step=step))
    transaction.delete(_place(_ATTEMPTS, method.id, entity_id))
    return True
