"""Which HTTP status a refusal has. The only place where the two meet."""

from vault import errors

STATUS: dict[type[errors.VaultError], int] = {
    errors.VaultError: 500,
    errors.InvalidRequest: 400,
    errors.NotInitialized: 400,
    errors.PermissionDenied: 403,
    errors.NotFound: 404,
    errors.UnsupportedPath: 404,
    errors.UnsupportedOperation: 405,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.LeaseLimited: 429,
    errors.RateLimited: 429,
    errors.HeaderTooLarge: 431,
    errors.OutcomeUnknown: 500,
    errors.AuditFailed: 500,
    errors.IntegrityError: 500,
    errors.Overloaded: 503,
    errors.Sealed: 503,
    errors.StorageUnavailable: 503,
}


def find_status(error: errors.VaultError) -> int:
    """Return the status of a refusal; a special case has the one of its kind."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
