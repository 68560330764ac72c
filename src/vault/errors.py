"""Every way a vault operation can be refused. No HTTP here: one table in `api` maps class to status.

The message is public: it reaches the client as it is. The cause (`raise ... from cause`) is internal and only logged.
"""

from collections.abc import Mapping
from typing import Any


class VaultError(Exception):
    """A refusal with a public message."""

    message = "internal error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else self.message)

    @property
    def messages(self) -> tuple[str, ...]:
        """What the client is told, one entry per error; may be empty (Vault's bare 404)."""
        text = str(self)
        return (text,) if text else ()


class InvalidRequest(VaultError):
    """The request can never succeed as it is."""

    message = "invalid request"

    def __init__(self, message: str | None = None, *, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


class LoginFailed(InvalidRequest):
    """The credentials of a login are wrong, whichever of them: it counts against whose login it is."""


class PermissionDenied(VaultError):
    """No valid token, or its policies do not allow this."""

    message = "permission denied"


class DeniedByPolicy(PermissionDenied):
    """The token is good, its policies do not allow this. Told apart only by Vault's wording."""

    message = "1 error occurred:\n\t* permission denied\n\n"


class SecondFactorFailed(PermissionDenied):
    """The second factor of a login is missing, wrong, used, or may not be tried now."""


class OriginNotAllowed(PermissionDenied):
    """A web page of a foreign origin asks."""

    message = "origin not allowed"


class RateLimited(VaultError):
    """A quota has no request left for this client."""

    def __init__(self, path: str, *, limit: int, reset_seconds: int, tells: bool = False) -> None:
        super().__init__(f'request path "{path}": rate limit quota exceeded')
        self.limit = limit
        self.reset_seconds = reset_seconds
        self.tells = tells  # whether the answer says what the limit is


class LeaseLimited(VaultError):
    """A quota has no lease left."""

    def __init__(self, path: str) -> None:
        super().__init__(f'request path "{path}": lease count quota exceeded')


class NotFound(VaultError):
    """Nothing stored under that name. Vault answers an empty error list."""

    message = ""


class UnsupportedPath(VaultError):
    """No mount or no declared path answers to this."""

    message = "1 error occurred:\n\t* unsupported path\n\n"


class UnsupportedOperation(VaultError):
    """The path exists, the operation does not."""

    message = "1 error occurred:\n\t* unsupported operation\n\n"


class UnsupportedMediaType(VaultError):
    """The body's Content-Type is not one that the operation takes."""

    message = "unsupported media type"


class TooLarge(VaultError):
    """The body is over the limit."""

    message = "request body too large"


class HeaderTooLarge(VaultError):
    """A header is over the limit."""

    message = "request header too large"


class Sealed(VaultError):
    """The barrier is sealed."""

    message = "Vault is sealed"


class NotInitialized(VaultError):
    """No root key exists yet."""

    message = "Vault is not initialized"


class Conflict(VaultError):
    """Concurrent writers got in the way more often than we retry."""

    message = "too many concurrent writers on this object, try again"


class StorageUnavailable(VaultError):
    """PostgreSQL cannot be reached or does not answer in time. Nothing was written."""

    message = "storage is unavailable"


class Overloaded(VaultError):
    """So many requests are on their way in that this one is not waited for. Nothing was written."""

    message = "too many requests are being received, try again"


class OutcomeUnknown(VaultError):
    """The connection broke while a commit was on its way: it may or may not have been applied."""

    message = "storage connection lost during commit: the outcome of this request is unknown"


class AuditFailed(VaultError):
    """No audit device accepted the record: the request is refused and nothing has changed."""

    message = "no audit device accepted the record"


class IntegrityError(VaultError):
    """A stored row does not decrypt under its own path: damaged, swapped or forged."""

    message = "stored data failed its integrity check"
