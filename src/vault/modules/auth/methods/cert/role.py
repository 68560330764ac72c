"""Roles of the method `cert`: whose certificates are trusted, and what they must say. Stored as `cert/<name>`.

The first certificate of a role decides what it is: an authority, with all others beside it, or one client that is trusted by itself.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec

from vault import limits
from vault.crypto.certificate import Certificate, parse_certificates
from vault.errors import InvalidRequest, NotFound
from vault.logical.args import BOOL, LIST, STRING, arg
from vault.logical.context import Context
from vault.logical.login import TokenParameters
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.parameters import LegacyTokenParameterArgs, change_parameters, describe_parameters, note_older
from vault.modules.auth.role_name import ROLE_NAME, RoleName
from vault.storage.view import View

_ROLES = "cert/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role as stored."""

    name: str
    certificate: str = ""
    display_name: str = ""
    allowed_names: tuple[str, ...] = ()
    allowed_common_names: tuple[str, ...] = ()
    allowed_dns_sans: tuple[str, ...] = ()
    allowed_email_sans: tuple[str, ...] = ()
    allowed_uri_sans: tuple[str, ...] = ()
    allowed_organizational_units: tuple[str, ...] = ()
    required_extensions: tuple[str, ...] = ()
    allowed_metadata_extensions: tuple[str, ...] = ()
    ocsp_enabled: bool = False
    ocsp_ca_certificates: str = ""
    ocsp_servers_override: tuple[str, ...] = ()
    ocsp_fail_open: bool = False
    ocsp_query_all_servers: bool = False
    parameters: TokenParameters = TokenParameters()
    older: tuple[str, ...] = ()  # names of parameters that are shown beside the new ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A role with its certificates, as it is kept in the cache."""

    role: Role
    certificates: tuple[Certificate, ...]

    @property
    def is_authority(self) -> bool:
        """Return whether the role trusts whom its certificates signed, and not its certificate itself."""
        return self.certificates[0].is_authority


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(LegacyTokenParameterArgs):
    """The fields of a role; absent ones keep their value."""

    name: str = arg(ROLE_NAME, "Name of the role.")
    certificate: str | None = arg(STRING, "Trusted authority, or trusted certificate of a client, PEM.", default=None)
    display_name: str | None = arg(STRING, "Display name of tokens; the role's name if empty.", default=None)
    allowed_names: tuple[str, ...] | None = arg(LIST, "Older: globs for common name, DNS or e-mail names.", default=None)
    allowed_common_names: tuple[str, ...] | None = arg(LIST, "Globs, one of which the common name matches.", default=None)
    allowed_dns_sans: tuple[str, ...] | None = arg(LIST, "Globs, one of which a DNS name matches.", default=None)
    allowed_email_sans: tuple[str, ...] | None = arg(LIST, "Globs, one of which an e-mail address matches.", default=None)
    allowed_uri_sans: tuple[str, ...] | None = arg(LIST, "Globs, one of which a URI matches.", default=None)
    allowed_organizational_units: tuple[str, ...] | None = arg(LIST, "Globs, one of which a unit matches.", default=None)
    required_extensions: tuple[str, ...] | None = arg(LIST, "`oid:glob` for text in extensions; all must match.", default=None)
    allowed_metadata_extensions: tuple[str, ...] | None = arg(LIST, "Extensions whose text becomes metadata, by oid.", default=None)
    ocsp_enabled: bool | None = arg(BOOL, "Ask OCSP responders at logins.", default=None)
    ocsp_ca_certificates: str | None = arg(STRING, "Further authorities of OCSP responders, PEM.", default=None)
    ocsp_servers_override: tuple[str, ...] | None = arg(LIST, "Responders in place of those that certificates name.", default=None)
    ocsp_fail_open: bool | None = arg(BOOL, "Let in where no responder answers.", default=None)
    ocsp_query_all_servers: bool | None = arg(BOOL, "Ask all responders; all must agree.", default=None)


_OWN = tuple(item.name for item in fields(Role) if item.name not in {"name", "parameters", "older"})


def _decode(value: bytes) -> Trust:
    role = msgspec.json.decode(value, type=Role)
    return Trust(role=role, certificates=parse_certificates(role.certificate))


def find_trust(storage: View, name: str) -> Trust | None:
    """Return the role with this name and its certificates."""
    entry = storage.get(_ROLES + name)
    return None if entry is None else entry.decode(_decode)


def list_trusts(storage: View) -> tuple[Trust, ...]:
    """Return all roles in the order of their names."""
    found = (find_trust(storage, name) for name in storage.list_children(_ROLES))
    return tuple(trust for trust in found if trust is not None)


def read_role(context: Context, args: RoleName) -> Response:
    """Answer a role in the wire's names."""
    trust = find_trust(context.storage, args.name)
    if trust is None:
        raise NotFound
    role = trust.role
    data: dict[str, Any] = {name: getattr(role, name) for name in _OWN}
    shown = {name: (list(value) or None) if isinstance(value, tuple) else value for name, value in data.items()}
    return Response(data=shown | describe_parameters(role.parameters, older=role.older))


def write_role(context: Context, args: WriteRole) -> Response | None:
    """Create or change a role."""
    trust = find_trust(context.storage, args.name)
    current = Role(name=args.name) if trust is None else trust.role
    given = {name: value for name in _OWN if (value := getattr(args, name)) is not None}
    role = replace(current, **given, parameters=change_parameters(current.parameters, args), older=note_older(current.older, args))
    role = replace(role, display_name=role.display_name or role.name)
    _check(role)
    context.storage.put(_ROLES + role.name, msgspec.json.encode(role))
    warnings = _list_warnings(context, role.parameters)
    return Response(warnings=warnings) if warnings else None


def _check(role: Role) -> None:
    certificates = _parse(role.certificate)
    first = certificates[0]
    if not first.is_authority and not first.serves_clients:
        raise InvalidRequest("nonCA certificates should have TLS client authentication set as an extended key usage")
    if first.is_authority and not all(certificate.is_authority for certificate in certificates):
        raise InvalidRequest("certificate: expected nothing but authorities beside an authority")
    if not all(_is_extension(text) for text in role.required_extensions):
        raise InvalidRequest("required_extensions: expected oid:value, like 1.2.3.4:some*")
    if role.ocsp_enabled:
        raise InvalidRequest("ocsp_enabled: OCSP is not offered by this server; use revocation lists (crls)")


def _parse(text: str) -> tuple[Certificate, ...]:
    try:
        found = parse_certificates(text[: limits.CERTIFICATES_BYTES_MAX + 1])
    except ValueError:
        raise InvalidRequest("failed to parse certificate") from None
    if len(found) > limits.TRUSTED_MAX or len(text) > limits.CERTIFICATES_BYTES_MAX:
        raise InvalidRequest(f"certificate: expected at most {limits.TRUSTED_MAX} certificates")
    return found


def _is_extension(text: str) -> bool:
    oid, separator, _ = text.partition(":")
    return bool(separator) and all(part.isdecimal() for part in oid.split("."))


def _list_warnings(context: Context, parameters: TokenParameters) -> tuple[str, ...]:
    default, longest = context.mount.default_lease_seconds, context.mount.max_lease_seconds
    rows = (
        (parameters.token_ttl, default, "Given ttl of {} seconds is greater than current mount/system default of {} seconds"),
        (parameters.token_max_ttl, longest, "Given max_ttl of {} seconds is greater than current mount/system default of {} seconds"),
        (parameters.token_period, longest, "Given period of {} seconds is greater than the backend's maximum TTL of {} seconds"),
    )
    return tuple(text.format(value, bound) for value, bound, text in rows if value > bound)


def delete_role(context: Context, args: RoleName) -> None:
    """Delete a role; a missing one is no error."""
    context.storage.delete(_ROLES + args.name)


def list_roles(context: Context, args: Page) -> Response | None:
    """List role names."""
    return list_response(context.storage.list_children(_ROLES, args.after, args.size))
