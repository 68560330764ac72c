"""Finding a person in the directory: who binds, what it is called, which groups it is in.

Nobody, the wrong password and two people of one name end in one refusal, after as many questions to the directory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from vault import limits
from vault.crypto.random import random_hex
from vault.errors import LoginFailed
from vault.modules.auth.methods.ldap.config import Config
from vault.modules.auth.methods.ldap.directory import Directory, Found, Unreachable
from vault.modules.auth.methods.ldap.name import fill_filter, find_common_name, make_dn

WRONG = "ldap operation failed: failed to bind as user"
_ANYTHING = "(objectClass=*)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the directory."""

    alias: str  # the value of userattr
    groups: tuple[str, ...]


def log_in(directory: Directory, config: Config, name: str, password: str) -> Person:
    """Return the person whose name and password these are; raises LoginFailed or Unreachable."""
    if config.can_search:
        directory.bind_searcher()
        entry = find_entry(directory, config, name)
        if not directory.bind(entry.dn if entry else _make_nobody(config), password) or entry is None:
            raise LoginFailed(WRONG)
    else:
        if not directory.bind(_make_own_dn(config, name), password):
            raise LoginFailed(WRONG)
        entry = _find_itself(directory, config, name)
    return describe(directory, config, name, entry)


def describe(directory: Directory, config: Config, name: str, entry: Found) -> Person:
    """Return what the directory says of an entry; raises Unreachable."""
    alias = name if config.username_as_alias else _read_alias(config, entry)
    return Person(alias=alias, groups=_list_groups(directory, config, name, entry.dn))


def find_entry(directory: Directory, config: Config, name: str) -> Found | None:
    """Return the one entry that a name finds; None where there is none, or more than one."""
    text = fill_filter(config.userfilter, {"UserAttr": config.userattr, "Username": name})
    if config.upndomain:
        text = fill_filter("(userPrincipalName={{.Username}})", {"Username": f"{name}@{config.upndomain}"})
    found = directory.search(config.userdn, text, (config.userattr,), most=2)
    return found[0] if len(found) == 1 and found[0].dn else None


def _make_nobody(config: Config) -> str:
    return make_dn("cn", random_hex(16), config.userdn)


def _make_own_dn(config: Config, name: str) -> str:
    return f"{name}@{config.upndomain}" if config.upndomain else make_dn(config.userattr, name, config.userdn)


def _find_itself(directory: Directory, config: Config, name: str) -> Found:
    """Return the entry of whoever is bound now."""
    if config.upndomain:
        entry = find_entry(directory, config, name)
    else:
        found = directory.search(_make_own_dn(config, name), _ANYTHING, (config.userattr,), whole=False, most=1)
        entry = found[0] if found else None
    if entry is None:
        raise LoginFailed(WRONG)
    return entry


def _read_alias(config: Config, entry: Found) -> str:
    values = entry.list_texts(config.userattr)
    if len(values) != 1:
        raise LoginFailed(WRONG)
    return values[0]


def _list_groups(directory: Directory, config: Config, name: str, dn: str) -> tuple[str, ...]:
    if not config.use_token_groups and not config.groupdn:
        return ()
    if config.anonymous_group_search:
        if not directory.bind_nobody():
            raise Unreachable
    elif config.binddn and config.bindpass:
        directory.bind_searcher()
    found = _find_token_groups(directory, dn) if config.use_token_groups else _find_groups(directory, config, name, dn)
    groups = tuple(dict.fromkeys(group for entry in found for group in _name_group(config, entry)))
    # Some of them would not do: one that is left out may be the one whose policy denies.
    if len(groups) > limits.LDAP_GROUPS_MAX:
        raise Unreachable
    return groups


def _find_groups(directory: Directory, config: Config, name: str, dn: str) -> tuple[Found, ...]:
    text = fill_filter(config.groupfilter, {"UserDN": dn, "Username": name})
    return directory.search(config.groupdn, text, (config.groupattr,), most=limits.LDAP_GROUPS_MAX + 1)


def _find_token_groups(directory: Directory, dn: str) -> Iterable[Found]:
    """Return the groups that Active Directory counts a user to, nested ones included; each is named by its security id."""
    for entry in directory.search(dn, _ANYTHING, ("tokenGroups",), whole=False, most=1):
        for sid in entry.values.get("tokengroups", ()):
            yield from directory.search(f"<SID={sid.hex()}>", _ANYTHING, (), whole=False, most=1)


def _name_group(config: Config, entry: Found) -> tuple[str, ...]:
    values = entry.list_texts(config.groupattr)
    names = (find_common_name(value) for value in values or (entry.dn,))
    return tuple(name for name in names if name and name.isprintable() and len(name.encode()) <= limits.LDAP_NAME_BYTES_MAX)
