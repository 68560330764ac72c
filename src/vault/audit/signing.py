"""The key that signs checkpoints: one per cluster, a row behind the barrier, made when it is first asked for.

A sealed server cannot read it and so cannot sign; what it recorded is covered by the first checkpoint after the unsealing.
"""

from vault.crypto import random
from vault.crypto.signature import KEY_BYTES, SigningKey
from vault.storage.transaction import Transaction

SIGNING_KEY = "core/audit-signing-key"


def get_key(transaction: Transaction) -> SigningKey:
    """Return the key; the first caller makes it."""
    entry = transaction.get(SIGNING_KEY)
    if entry is not None:
        return entry.decode(SigningKey)
    seed = random.random_bytes(KEY_BYTES)
    transaction.put(SIGNING_KEY, seed)
    return SigningKey(seed)
