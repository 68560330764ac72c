"""`sys/mfa/validate`: the second step of a login that waits for its second factor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import MAP, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.request import SecondFactor
from vault.logical.response import Response
from vault.secret import Secret


class Logins(Protocol):
    """What finishes a login."""

    def finish(self, context: SystemContext, request_id: str, factors: tuple[SecondFactor, ...]) -> Response:
        """Return the token of a login that waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateArgs:
    """Which login, and what it brings now."""

    mfa_request_id: str = arg(STRING, "Id that the login has answered.", required="missing request ID")
    mfa_payload: Mapping[str, Any] = arg(MAP, "A list with one code for each method, by its id or name.", default=None)


def validate_paths(logins: Logins) -> tuple[Path, ...]:
    """Return the table."""

    def validate(context: SystemContext, args: ValidateArgs) -> Response:
        if not args.mfa_request_id:
            raise InvalidRequest("missing request ID")
        return logins.finish(context, args.mfa_request_id, _parse_payload(args.mfa_payload or {}))

    return (path("mfa/validate", help="Finish a login.", update=Endpoint(handler=validate, args=ValidateArgs, public=True)),)


def _parse_payload(payload: Mapping[str, Any]) -> tuple[SecondFactor, ...]:
    """Return what a login brings; a method without a code brings nothing."""
    if len(payload) > limits.MFA_FACTORS_MAX or any(
        not isinstance(codes, list) or len(codes) > limits.MFA_FACTORS_MAX or not all(isinstance(code, str) for code in codes)
        for codes in payload.values()
    ):
        raise InvalidRequest("invalid mfa payload")
    return tuple(
        SecondFactor(method=method, code=Secret(code.removeprefix("passcode="))) for method, codes in payload.items() for code in codes
    )
