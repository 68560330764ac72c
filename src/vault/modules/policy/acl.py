"""The policies of one token, compiled: whether an operation may be done on a path with some fields.

An `Acl` never goes stale by the passing of time: a decision is made for a moment, and path blocks that have expired by then are
left out. Once one has expired the tables are compiled anew, so that what it overrode in the merge is back.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from vault.logical.operation import Operation
from vault.modules.policy.document import DENY, PathRule, PolicyDocument
from vault.modules.policy.parameter import ParameterCheck, merge_parameters
from vault.modules.policy.pattern import PatternTable, reaches_below
from vault.modules.policy.template import resolve_pattern

ROOT_POLICY = "root"
SUDO = "sudo"
DENIED = (DENY,)
LIMIT_FIELD = "limit"
LIMIT_MAX_WORD = "max"  # a client's way to say: as large a page as I may have

Policies = Sequence[tuple[str, PolicyDocument]]
Blocks = Sequence[tuple[str, PathRule]]  # of one pattern, each with the name of its policy

_WITH_FIELDS = frozenset({Operation.READ, Operation.CREATE, Operation.UPDATE, Operation.PATCH})
_CAPABILITY = {operation: operation.value for operation in Operation if operation is not Operation.HELP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to one request. `reason` is for the log, never for the client."""

    allowed: bool
    sudo: bool = False
    granting_policies: tuple[str, ...] = ()
    min_wrapping_ttl_seconds: float = 0.0  # zero: not restricted
    max_wrapping_ttl_seconds: float = 0.0
    pagination_limit: int | None = None  # the page size the handler must be given; None: as requested, zero: all
    reason: str = ""


_NO_RULE = Decision(allowed=False, reason="no pattern matches the path")
_ROOT = Decision(allowed=True, sudo=True, granting_policies=(ROOT_POLICY,), reason="root policy")
_HELP = Decision(allowed=True, reason="help is open to all")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """All that several policies say about one pattern."""

    granted: tuple[str, ...]  # sorted; `deny` where nothing is
    decisions: Mapping[str, Decision]  # by operation, before the clauses below are looked at
    refusal: Decision
    parameters: ParameterCheck
    min_wrapping_ttl_seconds: float
    max_wrapping_ttl_seconds: float
    pagination_limit: int
    is_plain: bool  # no clause but capabilities: `decisions` is the whole answer

    def decide(self, operation: Operation, data: Mapping[str, Any], wrap_ttl_seconds: float | None) -> Decision:
        decision = self.decisions.get(operation, self.refusal)
        if not decision.allowed:
            return decision
        if not self._is_wrapped_well(wrap_ttl_seconds):
            return self._refuse("the wrapping TTL is out of bounds")
        if operation in _WITH_FIELDS:
            fault = self.parameters.find_fault(data)
            return decision if fault is None else self._refuse(fault)
        return self._page(decision, data) if operation.enumerates else decision

    def _refuse(self, reason: str) -> Decision:
        return Decision(allowed=False, sudo=self.refusal.sudo, reason=reason)

    def _is_wrapped_well(self, wrap_ttl_seconds: float | None) -> bool:
        shortest, longest = self.min_wrapping_ttl_seconds, self.max_wrapping_ttl_seconds
        if not shortest and not longest:
            return True
        return bool(wrap_ttl_seconds) and shortest <= (wrap_ttl_seconds or 0) <= (longest or math.inf)

    def _page(self, decision: Decision, data: Mapping[str, Any]) -> Decision:
        """Bound the page of a listing. A bound holds for every spelling of the limit: what is not understood is refused."""
        asked = data.get(LIMIT_FIELD)
        if not self.pagination_limit:
            return replace(decision, pagination_limit=0) if asked == LIMIT_MAX_WORD else decision
        if asked is None and LIMIT_FIELD in self.parameters.required:
            return self._refuse("the limit parameter is missing")
        size = 0 if asked is None or asked == LIMIT_MAX_WORD else _read_limit(asked)
        if size is None or not 0 <= size <= self.pagination_limit:
            return self._refuse("the limit is above the pagination limit")
        return replace(decision, pagination_limit=size or self.pagination_limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edition:
    """The tables that hold while no path block expires: from just after `starts_at` up to `expires_at`."""

    rules: Mapping[str, _Rule]
    table: PatternTable[_Rule]
    starts_at: float
    expires_at: float


class Acl:
    """The compiled policies of a token. Its answers depend on its policies and on `now` alone; it only remembers the last edition."""

    __slots__ = ("_edition", "_policies", "_templates", "is_root")

    def __init__(self, policies: Policies, now: float, templates: Mapping[str, str] | None) -> None:
        self.is_root = [name for name, _ in policies] == [ROOT_POLICY]
        self._policies = policies
        self._templates = templates
        self._edition = _compile(policies, now, templates)

    def decide(self, operation: Operation, path: str, data: Mapping[str, Any], wrap_ttl_seconds: float | None, now: float) -> Decision:
        """Decide one operation. For listing, a path means its folder with or without a slash at the end."""
        if self.is_root:
            return _ROOT
        if operation is Operation.HELP:
            return _HELP
        if path[:1] == "/":
            path = path.lstrip("/")
        table = self._at(now).table
        if operation.enumerates:
            rule = table.find_folder(path if path[-1:] in {"/", ""} else path + "/")
        else:
            rule = table.find(path)
            if rule is not None and rule.is_plain:
                return rule.decisions.get(operation, rule.refusal)
        return _NO_RULE if rule is None else rule.decide(operation, data, wrap_ttl_seconds)

    def capabilities(self, path: str, now: float) -> tuple[str, ...]:
        """Return what `sys/capabilities` says of a path, sorted; `deny` where nothing is granted."""
        if self.is_root:
            return (ROOT_POLICY,)
        path = path.lstrip("/")
        table = self._at(now).table
        rule = table.find_folder(path) if path.endswith("/") else table.find(path)
        return DENIED if rule is None else rule.granted

    def is_sudo(self, path: str, now: float) -> bool:
        """Tell whether the path may be used as an administrator would."""
        return self.is_root or SUDO in self.capabilities(path, now)

    def list_patterns(self, now: float) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return every pattern with its merged capabilities, sorted."""
        return tuple((pattern, rule.granted) for pattern, rule in sorted(self._at(now).rules.items(), key=itemgetter(0)))

    def grants_below(self, folder: str, now: float) -> bool:
        """Tell whether anything at all is granted in a folder, such as a mount; the path ends with a slash."""
        if self.is_root or self.capabilities(folder, now) != DENIED:
            return True
        rules = self._at(now).rules
        return any(rule.granted != DENIED and reaches_below(pattern, folder) for pattern, rule in rules.items())

    def _at(self, now: float) -> _Edition:
        edition = self._edition
        if not edition.starts_at < now <= edition.expires_at:
            self._edition = edition = _compile(self._policies, now, self._templates)
        return edition


def compile_acl(policies: Policies, now: float, templates: Mapping[str, str] | None = None) -> Acl:
    """Compile named policies. A policy named `root` counts only alone; a block whose template has no value is left out."""
    return Acl(tuple(policies), now, templates)


def _read_limit(asked: Any) -> int | None:
    """Return the page size as OpenBao reads it: digits of base ten; anything else is no limit."""
    if isinstance(asked, str):
        return int(asked or 0) if re.fullmatch(r"[+-]?[0-9]{0,18}", asked, re.ASCII) and asked not in {"+", "-"} else None
    return asked if isinstance(asked, int) and not isinstance(asked, bool) else None


# --- compiling -----------------------------------------------------------------------------------------------------------


def _compile(policies: Policies, now: float, templates: Mapping[str, str] | None) -> _Edition:
    grouped: defaultdict[str, list[tuple[str, PathRule]]] = defaultdict(list)
    starts_at, expires_at = -math.inf, math.inf
    for name, document in policies:
        for rule in document.paths:
            if rule.expires_at is not None and now > rule.expires_at:
                starts_at = max(starts_at, rule.expires_at)
                continue
            expires_at = min(expires_at, math.inf if rule.expires_at is None else rule.expires_at)
            pattern = resolve_pattern(rule.pattern, templates)
            if pattern is not None:
                grouped[pattern].append((name, rule))
    shared: dict[Any, _Rule] = {}  # most of 10,000 patterns say one of a few things
    rules = {pattern: _find_shared(blocks, shared) for pattern, blocks in grouped.items()}
    return _Edition(rules=rules, table=PatternTable(rules), starts_at=starts_at, expires_at=expires_at)


def _find_shared(blocks: Blocks, shared: dict[Any, _Rule]) -> _Rule:
    if any(rule.has_parameters for _, rule in blocks):
        return _merge(blocks)
    key = tuple(
        (name, rule.capabilities, rule.min_wrapping_ttl_seconds, rule.max_wrapping_ttl_seconds, rule.pagination_limit)
        for name, rule in blocks
    )
    known = shared.get(key)
    if known is None:
        shared[key] = known = _merge(blocks)
    return known


def _merge(blocks: Blocks) -> _Rule:
    is_denied = any(DENY in rule.capabilities for _, rule in blocks)
    rules = [] if is_denied else [rule for _, rule in blocks]
    capabilities = frozenset(capability for rule in rules for capability in rule.capabilities)
    parameters = ParameterCheck(
        allowed=merge_parameters([rule.allowed_parameters for rule in rules]),
        denied=merge_parameters([rule.denied_parameters for rule in rules]),
        required=tuple(sorted({name for rule in rules for name in rule.required_parameters})),
    )
    shortest = _lowest(rule.min_wrapping_ttl_seconds for rule in rules)
    longest = _lowest(rule.max_wrapping_ttl_seconds for rule in rules)
    page = int(_lowest(rule.pagination_limit for rule in rules))
    granted = Decision(allowed=True, sudo=SUDO in capabilities, min_wrapping_ttl_seconds=shortest, max_wrapping_ttl_seconds=longest)
    return _Rule(
        granted=tuple(sorted(capabilities)) or DENIED,
        decisions={
            operation: replace(granted, granting_policies=_list_granting(blocks, capability))
            for operation, capability in _CAPABILITY.items()
            if capability in capabilities
        },
        refusal=Decision(allowed=False, sudo=SUDO in capabilities, reason="denied" if is_denied else "not granted"),
        parameters=parameters,
        min_wrapping_ttl_seconds=shortest,
        max_wrapping_ttl_seconds=longest,
        pagination_limit=page,
        is_plain=parameters.is_empty and not (shortest or longest or page),
    )


def _list_granting(blocks: Blocks, capability: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name, rule in blocks if capability in rule.capabilities))


def _lowest(values: Iterable[float]) -> float:
    """Return the smallest value that restricts; zero where none does."""
    return min((value for value in values if value), default=0)


EMPTY_ACL = compile_acl((), 0.0)
