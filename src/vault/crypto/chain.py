"""Whether an authority stands behind a client's certificate, by OpenSSL's path building.

Not by `cryptography.x509.verification`: its profile is that of the web, and it refuses what private authorities issue every day
(Ed25519 keys, clients without an alternative name, roots without key identifiers). What OpenSSL leaves open without a purpose is
settled before: only certificates that may sign for clients are offered to it as signers, and the broken hashes are not offered at all.
Each authority is tried by itself, so another of the same name cannot get in its way.
"""

from datetime import datetime

from OpenSSL import crypto

from vault.crypto.certificate import Certificate, parse_certificate

_INTERMEDIATES_MAX = 8  # no public chain has more than three


def find_chain(leaf: Certificate, others: tuple[Certificate, ...], authority: Certificate, now: datetime) -> tuple[Certificate, ...] | None:
    """Return the chain from a client's certificate to an authority, None if there is none that holds now.

    `others` are what the client sent to explain itself. The authority need not be a root: it is trusted as it is.
    """
    if not (may_enter(leaf, now) and leaf.has_strong_hash and _may_sign(authority)):
        return None
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(now.replace(tzinfo=None))
    store.add_cert(_load(authority))
    between = [_load(other) for other in others[:_INTERMEDIATES_MAX] if _may_sign(other) and other.has_strong_hash]
    try:
        found = crypto.X509StoreContext(store, _load(leaf), between).get_verified_chain()
    except (crypto.X509StoreContextError, crypto.Error):
        return None
    return tuple(parse_certificate(crypto.dump_certificate(crypto.FILETYPE_ASN1, member)) for member in found)


def may_enter(certificate: Certificate, now: datetime) -> bool:
    """Return whether a certificate can be a client's at all, whoever stands behind it: now, for this purpose, by a key that holds."""
    return certificate.not_before <= now <= certificate.not_after and certificate.serves_clients and certificate.has_strong_key


def _may_sign(certificate: Certificate) -> bool:
    return certificate.is_authority and certificate.signs and certificate.serves_clients and certificate.has_strong_key


def _load(certificate: Certificate) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)
