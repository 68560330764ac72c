"""What a role asks of a certificate besides who stands behind it: names, units and extensions, as a table."""

from collections.abc import Callable

from vault.crypto.certificate import Certificate
from vault.modules.auth.globs import matches_any
from vault.modules.auth.methods.cert.role import Role

Names = Callable[[Certificate], tuple[str, ...]]

# Where a role names globs, one of the certificate's names of that kind must match one of them.
_NAMES: tuple[tuple[str, Names], ...] = (
    ("allowed_names", lambda found: (found.common_name, *found.dns_names, *found.emails)),
    ("allowed_common_names", lambda found: (found.common_name,)),
    ("allowed_dns_sans", lambda found: found.dns_names),
    ("allowed_email_sans", lambda found: found.emails),
    ("allowed_uri_sans", lambda found: found.uris),
    ("allowed_organizational_units", lambda found: found.organizational_units),
)


def matches_role(role: Role, certificate: Certificate) -> bool:
    """Return whether a certificate says all that a role asks."""
    names = all(_is_allowed(getattr(role, field), names(certificate)) for field, names in _NAMES)
    return names and all(_has_extension(required, certificate) for required in role.required_extensions)


def _is_allowed(globs: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return not globs or any(matches_any(name, globs) for name in names)


def _has_extension(required: str, certificate: Certificate) -> bool:
    oid, _, glob = required.partition(":")
    return oid in certificate.extensions and matches_any(certificate.extensions[oid], (glob,))


def describe(role: str, certificate: Certificate, extensions: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the metadata of whoever logs in by a certificate."""
    known = certificate.extensions
    return {
        "cert_name": role,
        "common_name": certificate.common_name,
        "serial_number": str(certificate.serial),
        "subject_key_id": certificate.subject_key_id.hex(":"),
        "authority_key_id": certificate.authority_key_id.hex(":"),
        # A dot would end the name in a template of a policy.
        **{oid.replace(".", "-"): known[oid] for oid in extensions if oid in known},
    }
