"""Search filters with placeholders, as Vault writes them: `({{.UserAttr}}={{.Username}})`.

What is put in is escaped for filters, whatever it holds: a name can only ever be a value.
"""

import re
from collections.abc import Mapping

from ldap3.core.exceptions import LDAPInvalidFilterError
from ldap3.operation.search import parse_filter
from ldap3.utils.conv import escape_filter_chars

from vault import limits
from vault.errors import InvalidRequest

_PLACEHOLDER = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
USER_FIELDS = frozenset({"UserAttr", "Username"})
GROUP_FIELDS = frozenset({"Username", "UserDN"})


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a filter with escaped values put in."""
    return _PLACEHOLDER.sub(lambda found: escape_filter_chars(values[found[1]]), template)


def require_filter(template: str, fields: frozenset[str], name: str) -> str:
    """Return a filter that can be used with these placeholders; raises InvalidRequest."""
    found = {match[1] for match in _PLACEHOLDER.finditer(template)}
    if len(template) > limits.LDAP_FILTER_CHARACTERS_MAX or not found <= fields or "{{" in _PLACEHOLDER.sub("", template):
        raise InvalidRequest(f"invalid {name}: only {', '.join(sorted(fields))} can be put in")
    try:
        parse_filter(fill(template, dict.fromkeys(fields, "x")), None, False, False, None, False)  # type: ignore[no-untyped-call]
    except (LDAPInvalidFilterError, ValueError, IndexError):
        raise InvalidRequest(f"invalid {name}: not a search filter") from None
    return template
