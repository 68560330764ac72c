"""One-time codes by time (RFC 6238): how a method makes them, what an authenticator app is told, and which step a code belongs to.

A code is judged by comparing it with those of every step that is allowed, whatever the first comparisons said, so that the time tells
nothing. Which of the steps are spent already is not known here.
"""

import base64
import hashlib
import hmac
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pyotp
import segno

from vault.crypto.random import random_bytes
from vault.secret import Secret

DIGESTS: Mapping[str, Callable[..., Any]] = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512}
DIGITS = frozenset({6, 8})
_BORDER = 4  # modules of white around a QR code, as its standard asks


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpSettings:
    """How codes are made. What an enrolled app was told stays with its secret."""

    issuer: str
    period: int = 30
    key_size: int = 20
    algorithm: str = "SHA1"
    digits: int = 6
    skew: int = 1  # steps before and after the present one that are taken as well


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpSecret:
    """What an app shares with us, and the last step that was used."""

    key: str  # base32
    settings: TotpSettings
    last_step: int = -1


def make_secret(settings: TotpSettings) -> TotpSecret:
    """Return a new secret."""
    return TotpSecret(key=base64.b32encode(random_bytes(settings.key_size)).decode().rstrip("="), settings=settings)


def find_step(secret: TotpSecret, code: Secret, now: float) -> int | None:
    """Return the unused step that a code is for; None if there is none."""
    settings = secret.settings
    # Compared byte by byte: one code has one spelling, so that it cannot come back in another.
    given = code.reveal().encode("utf-8", "surrogatepass")
    otp = pyotp.HOTP(secret.key, digits=settings.digits, digest=DIGESTS[settings.algorithm])
    present = int(now) // settings.period
    found = None
    for step in range(present - settings.skew, present + settings.skew + 1):
        matches = hmac.compare_digest(otp.at(max(step, 0)).encode(), given)
        if matches and step > secret.last_step:
            found = step
    return found


def build_url(secret: TotpSecret, account: str) -> str:
    """Return what an authenticator app reads: all parameters, for apps with other defaults."""
    settings = secret.settings
    query = {
        "algorithm": settings.algorithm,
        "digits": settings.digits,
        "issuer": settings.issuer,
        "period": settings.period,
        "secret": secret.key,
    }
    return f"otpauth://totp/{quote(settings.issuer, safe='')}:{quote(account, safe='')}?{urlencode(query, quote_via=quote)}"


def draw_barcode(url: str, pixels: int) -> str:
    """Return a QR code as a PNG in base64, as large as fits into a square of so many pixels; none for zero."""
    if not pixels:
        return ""
    code = segno.make(url, error="m", micro=False)
    modules = code.symbol_size(border=_BORDER)[0]
    image = io.BytesIO()
    code.save(image, kind="png", scale=max(pixels // modules, 1), border=_BORDER)
    return base64.b64encode(image.getvalue()).decode()
