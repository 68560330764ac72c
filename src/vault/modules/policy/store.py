"""Policies as stored: one row each, with the text as written and what it says, parsed when it was written.

`acl` is asked on every request. What it compiled is good as long as the entries it was compiled from are the same objects, so
nobody has to be told that a policy has changed. The policy `root` is no row.
"""

import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from vault import limits
from vault.clock import Clock
from vault.errors import InvalidRequest
from vault.logical.standing import Standing
from vault.modules.policy.acl import Acl, compile_acl
from vault.modules.policy.document import PolicyDocument, parse_policy
from vault.modules.policy.name import DEFAULT, ROOT, canonical_name, is_deceptive
from vault.storage.sources import Sources
from vault.storage.transaction import Transaction

PREFIX = "sys/policy/"
EXPIRATIONS = "core/policy-expirations"  # the policies that end by themselves, so that a listing need not read every policy
WRAPPING = "response-wrapping"
IMMUTABLE = frozenset({ROOT, WRAPPING})
_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy as stored. `document` already ends when the policy does."""

    name: str
    text: str
    document: PolicyDocument
    version: int
    modified_ns: int
    cas_required: bool = False
    expires_ns: int | None = None
    allow_slashes_in_identity_templates: bool = False
    allow_wildcards_in_identity_templates: bool = False


@dataclass(frozen=True, slots=True)
class _Compiled(Sources):
    """An ACL and what it was compiled from: the rows, and the entity's part in it."""

    standing: Standing | None
    acl: Acl
    is_templated: bool


def decode_policy(value: bytes) -> Policy:
    """Return the policy stored as `value`."""
    return msgspec.json.decode(value, type=Policy)


def _decode_expirations(value: bytes) -> dict[str, int]:
    return msgspec.json.decode(value, type=dict[str, int])


def parse_policy_name(name: str) -> str:
    """Return the one spelling of a name that a policy may have; raises InvalidRequest for look-alikes of another name."""
    found = canonical_name(name)
    if not found or len(found.encode("utf-8", "replace")) > limits.POLICY_NAME_BYTES_MAX or is_deceptive(found):
        raise InvalidRequest("invalid policy name")
    if unicodedata.normalize("NFKC", found) != found or any(part in {"", ".", ".."} for part in found.split("/")):
        raise InvalidRequest("invalid policy name")
    return found


class PolicyStore:
    """Compiles, finds and changes policies within a transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._compiled: dict[tuple[tuple[str, ...], str], _Compiled] = {}
        self._lock = threading.Lock()

    # -- every request ------------------------------------------------------------------------------------------------

    def acl(self, transaction: Transaction, names: tuple[str, ...], standing: Standing | None = None) -> Acl:
        """Return the compiled policies with these names and those of an entity; one that does not exist grants nothing.

        Where no policy has a placeholder, all entities share what was compiled.
        """
        if standing is not None and standing.policies:
            names = tuple(sorted({*names, *standing.policies}))
        known = self._compiled.get((names, ""))
        if known is None or (known.is_templated and standing is not None):
            known = None if standing is None else self._compiled.get((names, standing.entity_id))
        if known is not None and (known.standing is standing or not known.is_templated) and known.is_current(transaction):
            return known.acl
        return self._compile(transaction, names, standing)

    def _compile(self, transaction: Transaction, names: tuple[str, ...], standing: Standing | None) -> Acl:
        if names == (ROOT,):
            compiled = _Compiled((), None, compile_acl(((ROOT, PolicyDocument()),), self._clock.now()), is_templated=False)
        else:
            sources = tuple((PREFIX + name, transaction.get(PREFIX + name)) for name in names if name != ROOT)
            policies = [entry.decode(decode_policy) for _, entry in sources if entry is not None]
            documents = [(policy.name, policy.document) for policy in policies]
            acl = compile_acl(documents, self._clock.now(), None if standing is None else standing.values)
            templated = any(document.templated for _, document in documents)
            compiled = _Compiled(sources, standing if templated else None, acl, is_templated=templated)
        key = names, "" if compiled.standing is None else compiled.standing.entity_id
        with self._lock:
            self._compiled.pop(key, None)
            shared = self._compiled.get((names, ""))
            if compiled.is_templated and shared is not None and not shared.is_templated:
                del self._compiled[names, ""]  # of before a policy got its placeholder
            while len(self._compiled) >= limits.COMPILED_ACLS_MAX:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = compiled
        return compiled.acl

    def forget_compiled(self) -> None:
        """Drop what was compiled: nothing of the barrier outlives the seal."""
        with self._lock:
            self._compiled.clear()

    # -- reading ------------------------------------------------------------------------------------------------------

    def find(self, transaction: Transaction, name: str) -> Policy | None:
        """Return the policy with this name, unless it has ended."""
        policy = self._find_row(transaction, canonical_name(name))
        ended = policy is not None and policy.expires_ns is not None and policy.expires_ns <= self._clock.now_ns()
        return None if ended else policy

    def _find_row(self, transaction: Transaction, name: str) -> Policy | None:
        if not name or name.endswith("/"):
            return None
        entry = transaction.get(PREFIX + name)
        return None if entry is None else entry.decode(decode_policy)

    def list_names(self, transaction: Transaction, prefix: str = "", after: str = "", limit: int | None = None) -> tuple[str, ...]:
        """Return names that start with a prefix (empty, or with a slash at its end), in byte order."""
        found: list[str] = []
        for name in self._iterate_names(transaction, prefix, after):
            found.append(name)
            if len(found) == limit:
                break
        return tuple(found)

    def _iterate_names(self, transaction: Transaction, prefix: str, after: str) -> Iterator[str]:
        now_ns = self._clock.now_ns()
        expirations = self._expirations(transaction)
        after = after.removeprefix(prefix)
        while page := transaction.list_subtree(PREFIX + prefix, after, _PAGE):
            for name in (prefix + name for name in page):
                if name != WRAPPING and expirations.get(name, now_ns + 1) > now_ns:
                    yield name
            after = page[-1]

    def _expirations(self, transaction: Transaction) -> dict[str, int]:
        entry = transaction.get(EXPIRATIONS)
        return {} if entry is None else entry.decode(_decode_expirations)

    # -- changing -----------------------------------------------------------------------------------------------------

    def put(self, transaction: Transaction, policy: Policy) -> None:
        """Store a policy under its checked name; its document is read from its text. Raises InvalidRequest."""
        if policy.name in IMMUTABLE:
            raise InvalidRequest(f'cannot update "{policy.name}" policy')
        self._save(transaction, policy)

    def _save(self, transaction: Transaction, policy: Policy) -> None:
        document = parse_policy(policy.text)
        if policy.expires_ns is not None:
            document = document.until(policy.expires_ns / 1e9)
        transaction.put(PREFIX + policy.name, msgspec.json.encode(replace(policy, document=document)))
        self._note_expiration(transaction, policy.name, policy.expires_ns)

    def delete(self, transaction: Transaction, name: str) -> None:
        """Delete a policy; a missing one is no error. Raises InvalidRequest for those that have to stay."""
        name = canonical_name(name)
        if name in IMMUTABLE:
            raise InvalidRequest(f'cannot delete "{name}" policy')
        if name == DEFAULT:
            raise InvalidRequest("cannot delete default policy")
        transaction.delete(PREFIX + name)
        self._note_expiration(transaction, name, None)

    def _note_expiration(self, transaction: Transaction, name: str, expires_ns: int | None) -> None:
        """Keep the index of ends true, and remove some policies that have ended: whoever revives one writes the index as well."""
        known = self._expirations(transaction)
        if expires_ns is None and name not in known:
            return
        now_ns = self._clock.now_ns()
        ended = [other for other, end in known.items() if other != name and end <= now_ns][: limits.EXPIRED_POLICIES_MAX]
        for other in ended:
            transaction.delete(PREFIX + other)
        left = {other: end for other, end in known.items() if other != name and other not in ended}
        if expires_ns is not None:
            left[name] = expires_ns
        transaction.put(EXPIRATIONS, msgspec.json.encode(left))

    def install_defaults(self, transaction: Transaction) -> None:
        """Store the policies that a fresh server has."""
        now_ns = self._clock.now_ns()
        for name, text in default_policies():
            self._save(transaction, Policy(name=name, text=text, document=PolicyDocument(), version=1, modified_ns=now_ns))


def default_policies() -> tuple[tuple[str, str], ...]:
    """Return names and texts of the policies that a fresh server has."""
    return ((DEFAULT, _DEFAULT_TEXT), (WRAPPING, _WRAPPING_TEXT))


_DEFAULT_TEXT = """\
# What every token may do with itself. Change this policy as you like: it is added to new tokens unless they ask for no default policy.

# The token looks at itself, lives longer, ends.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }

# Clients ask first what they may do.
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }

# Its own entity.
path "identity/entity/id/{{identity.entity.id}}" { capabilities = ["read"] }
path "identity/entity/name/{{identity.entity.name}}" { capabilities = ["read"] }

# Its leases: knowing the id of a lease is the right to look at it and to renew it.
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }

# Its private store, which no other token can reach.
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }

# Wrapping answers, and opening wrapped ones.
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }

# Hashing.
path "sys/tools/hash" { capabilities = ["update"] }
path "sys/tools/hash/*" { capabilities = ["update"] }

# Signing in to applications through an OpenID Connect provider.
path "identity/oidc/provider/+/authorize" { capabilities = ["read", "update"] }
"""

_WRAPPING_TEXT = """\
# A wrapping token opens what it wraps, in the present or in the older way, or ends. Nothing else.
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "cubbyhole/response" { capabilities = ["create", "read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""
