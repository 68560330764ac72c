"""`identity/mfa/method`: which second factors there are, and who has a secret of them. TOTP is the only kind; others are refused."""

import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from vault import limits
from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest, NotFound
from vault.logical.args import INT, STRING, TTL, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.logical.standing import Standing
from vault.modules.identity.mfa.enrolment import find_secret, forget_method, forget_secret, put_secret
from vault.modules.identity.mfa.table import Method, read_table, save_table
from vault.modules.identity.mfa.totp import DIGESTS, DIGITS, TotpSettings, build_url, draw_barcode, make_secret
from vault.storage.transaction import Transaction

FOREIGN = ("duo", "okta", "pingid")
_KEY_BYTES_MIN, _KEY_BYTES_MAX = 16, 128  # RFC 4226 asks for 128 bits at least; more than a block of SHA-512 adds nothing
_PERIOD_SECONDS_MAX = 24 * 3600
_PIXELS_MAX = 4096
_ATTEMPTS_MAX = 100
_ATTEMPTS = 5  # where nobody says
_TEXT_MAX = 256
_UNSAFE_IN_NAMES = frozenset("/:,")  # a header gives names as `name:code,name:code`


class Entities(Protocol):
    """What is asked about entities."""

    def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        """Return an entity as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpArgs:
    """A TOTP method. What is not given is as if it had never been set."""

    method_name: str = arg(STRING, "Name of the method.", default="")
    issuer: str = arg(STRING, "Who issues the codes, as an app shows it.", default="")
    period: int = arg(TTL, "How long a code is good for.", default=30)
    key_size: int = arg(INT, "Bytes of a secret.", default=20)
    qr_size: int = arg(INT, "Pixels of a QR code along one side; 0: none.", default=200)
    algorithm: str = arg(STRING, "SHA1, SHA256 or SHA512.", default="SHA1")
    digits: int = arg(INT, "Length of a code: 6 or 8.", default=6)
    skew: int = arg(INT, "How many periods a clock may be off: 0 or 1.", default=1)
    max_validation_attempts: int = arg(INT, "Wrong codes in a row before a pause.", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodPath:
    """The method that the path names."""

    method_id: str = arg(STRING, "Id of the method.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTotp(TotpArgs):
    """A TOTP method to be changed."""

    method_id: str = arg(STRING, "Id of the method.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol:
    """The method for which a caller wants a secret."""

    method_id: str = arg(STRING, "Id of the method.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminEnrol(Enrol):
    """The same for somebody else."""

    entity_id: str = arg(STRING, "Id of the entity.", default="")


class MethodPaths:
    """Handlers of methods."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("mfa/method", help="List the methods.", list=Endpoint(handler=self.list_methods)),
            path(
                "mfa/method/totp",
                help="List the methods, make one.",
                list=Endpoint(handler=self.list_methods),
                update=Endpoint(handler=self.create, args=TotpArgs),
            ),
            *(
                path(f"mfa/method/totp/{name}", help=text, update=Endpoint(handler=handler, args=args))
                for name, text, handler, args in (
                    ("generate", "Make a secret for oneself.", self.generate, Enrol),
                    ("admin-generate", "Make a secret for an entity.", self.admin_generate, AdminEnrol),
                    ("admin-destroy", "Delete the secret of an entity.", self.admin_destroy, AdminEnrol),
                )
            ),
            path(
                "mfa/method/totp/{method_id}",
                help="Read, change, delete a method.",
                read=Endpoint(handler=self.read, args=MethodPath),
                update=Endpoint(handler=self.change, args=ChangeTotp),
                delete=Endpoint(handler=self.delete, args=MethodPath),
            ),
            *(row for kind in FOREIGN for row in _refusing_paths(kind)),
            path("mfa/method/{method_id}", help="Read a method.", read=Endpoint(handler=self.read, args=MethodPath)),
        )

    def list_methods(self, context: SystemContext, _: Any) -> Response | None:
        """List the methods with what they are."""
        methods = read_table(context.transaction).stored.methods
        return list_response(tuple(methods), {method_id: _describe(method) for method_id, method in methods.items()})

    def read(self, context: SystemContext, args: MethodPath) -> Response | None:
        """Answer a method."""
        method = read_table(context.transaction).stored.methods.get(args.method_id)
        return None if method is None else Response(data=_describe(method))

    def create(self, context: SystemContext, args: TotpArgs) -> Response:
        """Make a method, or change the one that has this name, and answer its id."""
        settings = _parse_settings(args)
        table = read_table(context.transaction)
        known = table.find_named(_parse_name(args.method_name))
        if known is None and len(table.stored.methods) >= limits.MFA_METHODS_MAX:
            raise InvalidRequest(f"more than {limits.MFA_METHODS_MAX} MFA methods")
        method_id = str(uuid.UUID(bytes=random_bytes(16), version=4)) if known is None else known.id
        self._save(context, _make_method(method_id, args.method_name, args, settings))
        return Response(data={"method_id": method_id})

    def change(self, context: SystemContext, args: ChangeTotp) -> None:
        """Change a method. Who has a secret keeps it, as it was told to the app."""
        table = read_table(context.transaction)
        method = table.stored.methods.get(args.method_id)
        if method is None:
            raise NotFound
        settings = _parse_settings(args)
        name = _parse_name(args.method_name) or method.name
        if name and (table.find_named(name) or method).id != method.id:
            raise InvalidRequest(f"a login MFA method configuration with the method name {name} already exists")
        self._save(context, _make_method(method.id, name, args, settings))

    def _save(self, context: SystemContext, method: Method) -> None:
        stored = read_table(context.transaction).stored
        save_table(context.transaction, replace(stored, methods={**stored.methods, method.id: method}))

    def delete(self, context: SystemContext, args: MethodPath) -> None:
        """Delete a method that nothing enforces, and all its secrets; a missing one is no error."""
        table = read_table(context.transaction)
        if args.method_id not in table.stored.methods:
            return
        user = table.find_user(args.method_id)
        if user is not None:
            raise InvalidRequest(f"methodID is still used by an enforcement configuration with ID: {user.id}")
        rest = {method_id: method for method_id, method in table.stored.methods.items() if method_id != args.method_id}
        save_table(context.transaction, replace(table.stored, methods=rest))
        forget_method(context.transaction, args.method_id)

    # -- secrets ------------------------------------------------------------------------------------------------------

    def generate(self, context: SystemContext, args: Enrol) -> Response:
        """Make a secret for the caller's entity."""
        if not args.method_id:
            raise InvalidRequest("missing method ID")
        entity_id = "" if context.token is None else context.token.entity_id
        if not entity_id:
            raise InvalidRequest("missing entityID")
        return self._generate(context, args.method_id, entity_id)

    def admin_generate(self, context: SystemContext, args: AdminEnrol) -> Response:
        """Make a secret for an entity."""
        if not args.method_id:
            raise InvalidRequest("missing method ID")
        if not args.entity_id:
            raise InvalidRequest("missing entityID")
        return self._generate(context, args.method_id, args.entity_id)

    def _generate(self, context: SystemContext, method_id: str, entity_id: str) -> Response:
        method, entity_id = self._require_both(context, method_id, entity_id)
        if find_secret(context.transaction, method.id, entity_id) is not None:
            return Response(warnings=(f'Entity already has a secret for MFA method "{method.name}"',))
        secret = make_secret(method.settings)
        put_secret(context.transaction, method.id, entity_id, secret)
        url = build_url(secret, entity_id)
        return Response(data={"barcode": draw_barcode(url, method.qr_size), "url": url})

    def admin_destroy(self, context: SystemContext, args: AdminEnrol) -> None:
        """Delete the secret of an entity."""
        if not args.method_id:
            raise InvalidRequest("missing method ID")
        if not args.entity_id:
            raise InvalidRequest("missing entity ID")
        method, entity_id = self._require_both(context, args.method_id, args.entity_id)
        forget_secret(context.transaction, method.id, entity_id)

    def _require_both(self, context: SystemContext, method_id: str, entity_id: str) -> tuple[Method, str]:
        """Return a method and the id of an entity: of the one into which it was merged, if it was."""
        method = read_table(context.transaction).stored.methods.get(method_id)
        if method is None:
            raise InvalidRequest(f'configuration for method ID "{method_id}" does not exist')
        standing = None if "/" in entity_id else self._entities.find_standing(context.transaction, entity_id)
        if standing is None:
            raise InvalidRequest("invalid entity ID")
        return method, standing.entity_id


def _refusing_paths(kind: str) -> tuple[Path, Path]:
    refuse = Endpoint(handler=partial(_refuse_kind, kind), free=True)
    return (
        path(f"mfa/method/{kind}", help="Not supported.", list=Endpoint(handler=_answer_nothing), update=refuse),
        path(
            f"mfa/method/{kind}/{{method_id}}",
            help="Not supported.",
            read=Endpoint(handler=_answer_nothing, args=MethodPath),
            update=Endpoint(handler=partial(_refuse_kind, kind), args=MethodPath, free=True),
            delete=Endpoint(handler=_answer_nothing, args=MethodPath),
        ),
    )


def _refuse_kind(kind: str, _context: SystemContext, _args: Any) -> None:
    raise InvalidRequest(f"MFA methods of the type {kind} are not supported, only totp")


def _answer_nothing(_context: SystemContext, _args: Any) -> None:
    return None


def _parse_name(name: str) -> str:
    if len(name) > _TEXT_MAX or not name.isprintable() or not _UNSAFE_IN_NAMES.isdisjoint(name) or ".." in name:
        raise InvalidRequest("method_name is too long or contains a character that is not allowed")
    return name


def _parse_settings(args: TotpArgs) -> TotpSettings:
    if not args.issuer:
        raise InvalidRequest("issuer must be set")
    checks = (
        # An app takes what stands before a colon for the issuer.
        (
            len(args.issuer) <= _TEXT_MAX and args.issuer.isprintable() and ":" not in args.issuer,
            "issuer is too long or has a wrong character",
        ),
        (args.period > 0, "period must be greater than zero"),
        (args.period <= _PERIOD_SECONDS_MAX, f"period must be at most {_PERIOD_SECONDS_MAX} seconds"),
        (args.key_size > 0, "key_size must be greater than zero"),
        (_KEY_BYTES_MIN <= args.key_size <= _KEY_BYTES_MAX, f"key_size must be from {_KEY_BYTES_MIN} to {_KEY_BYTES_MAX}"),
        (args.algorithm in DIGESTS, "unrecognized algorithm"),
        (args.digits in DIGITS, "digits can only be 6 or 8"),
        (args.skew in {0, 1}, "skew must be 0 or 1"),
        (args.max_validation_attempts >= 0, "max_validation_attempts must be greater than zero"),
        (args.max_validation_attempts <= _ATTEMPTS_MAX, f"max_validation_attempts must be at most {_ATTEMPTS_MAX}"),
        (0 <= args.qr_size <= _PIXELS_MAX, f"qr_size must be from 0 to {_PIXELS_MAX}"),
    )
    for holds, refusal in checks:
        if not holds:
            raise InvalidRequest(refusal)
    return TotpSettings(
        issuer=args.issuer,
        period=args.period,
        key_size=args.key_size,
        algorithm=args.algorithm,
        digits=args.digits,
        skew=args.skew,
    )


def _make_method(method_id: str, name: str, args: TotpArgs, settings: TotpSettings) -> Method:
    attempts = args.max_validation_attempts or _ATTEMPTS
    return Method(id=method_id, name=name, settings=settings, qr_size=args.qr_size, max_validation_attempts=attempts)


def _describe(method: Method) -> dict[str, Any]:
    settings = method.settings
    return {
        "algorithm": settings.algorithm,
        "digits": settings.digits,
        "id": method.id,
        "issuer": settings.issuer,
        "key_size": settings.key_size,
        "max_validation_attempts": method.max_validation_attempts,
        "name": method.name,
        "namespace_id": "root",
        "namespace_path": "",
        "period": settings.period,
        "qr_size": method.qr_size,
        "skew": settings.skew,
        "type": "totp",
    }
