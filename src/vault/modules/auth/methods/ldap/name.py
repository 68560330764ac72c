"""Names: one spelling whatever a client writes, and their place in filters and distinguished names.

A directory takes `Bob`, ` bob` and `bob` in full-width letters for one user. Were they several names here, each would have its own entity
and its own count of wrong passwords.
"""

import re
import unicodedata

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.search import parse_filter
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from vault import limits
from vault.errors import InvalidRequest

_FIELD = re.compile(r"\{\{-?\s*\.(\w+)\s*-?\}\}")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.;-]{0,127}", re.ASCII)
USER_FIELDS = frozenset({"UserAttr", "Username"})
GROUP_FIELDS = frozenset({"UserDN", "Username"})


def spell_name(text: str, *, case_sensitive: bool) -> str:
    """Return a name in its one spelling; raises InvalidRequest where it can be nobody's."""
    name = re.sub(" +", " ", unicodedata.normalize("NFKC", text)).strip(" ")
    if not name or name in {".", ".."} or "/" in name or not name.isprintable() or len(name.encode()) > limits.LDAP_NAME_BYTES_MAX:
        raise InvalidRequest("invalid name: expected up to 512 printable characters without '/'")
    return name if case_sensitive else name.lower()


def is_attribute(text: str) -> bool:
    """Return whether a text can be the name of an attribute."""
    return _ATTRIBUTE.fullmatch(text) is not None


def fill_filter(template: str, values: dict[str, str]) -> str:
    """Return a filter with its `{{.Name}}` replaced by values, escaped as RFC 4515 says; raises ValueError for other template text."""
    for name in _FIELD.findall(template):
        if name not in values:
            raise ValueError(f"expected only {', '.join(f'{{{{.{known}}}}}' for known in sorted(values))}")
    if "{{" in _FIELD.sub("", template):
        raise ValueError("expected no template text but {{.Name}}")
    return _FIELD.sub(lambda found: str(escape_filter_chars(values[found[1]])), template)


def check_filter(template: str, names: frozenset[str]) -> None:
    """Refuse what is no filter; raises ValueError."""
    try:
        parse_filter(  # type: ignore[no-untyped-call]  # the library has no types
            fill_filter(template, dict.fromkeys(names, "x")), None, auto_escape=False, auto_encode=False, validator=None, check_names=False
        )
    except (LDAPExceptionError, IndexError, RecursionError):
        raise ValueError("expected an LDAP filter like (cn={{.Username}})") from None


def make_dn(attribute: str, value: str, parent: str) -> str:
    """Return the distinguished name of a child, its value escaped as RFC 4514 says."""
    return f"{attribute}={escape_rdn(value)}" + (f",{parent}" if parent else "")


def find_common_name(text: str) -> str:
    """Return the `cn` of a distinguished name, or the text as it is where it is none or has none."""
    try:
        parts = parse_dn(text, escape=False, strip=True)
    except (LDAPExceptionError, IndexError):
        return text
    return next((_unescape(str(value)) for key, value, _ in parts if str(key).lower() == "cn"), text)


def _unescape(value: str) -> str:
    raw = re.sub(rb"\\([0-9a-fA-F]{2}|.)", _unescape_one, value.encode(), flags=re.DOTALL)
    return raw.decode("utf-8", "replace")


def _unescape_one(found: re.Match[bytes]) -> bytes:
    text = found[1]
    return bytes.fromhex(text.decode()) if len(text) == 2 else text
