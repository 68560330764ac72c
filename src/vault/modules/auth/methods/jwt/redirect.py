"""Where a login may return to: exactly a URI of the role. Only the port of a client on its own machine is free (RFC 8252)."""

from urllib.parse import SplitResult, urlsplit

from vault import limits

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_allowed(uri: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a role that allows these URIs allows this one."""
    parts = _split(uri)
    if parts is None:
        return False
    if parts.hostname not in _LOOPBACK:
        return uri in allowed
    others = (_split(other) for other in allowed)
    return any(other is not None and _portless(other) == _portless(parts) for other in others)


def _split(uri: str) -> SplitResult | None:
    """Return the parts of a URI that every reader takes apart in the same way."""
    if len(uri) > limits.OIDC_URL_BYTES_MAX or not uri.isascii() or not uri.isprintable() or any(sign in uri for sign in ' \\"<>'):
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme and "@" not in parts.netloc else None


def _portless(parts: SplitResult) -> tuple[str, str | None, str, str, str]:
    return parts.scheme, parts.hostname, parts.path, parts.query, parts.fragment
