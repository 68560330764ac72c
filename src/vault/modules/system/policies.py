"""`sys/policy` and `sys/policies/*`: two addresses of the same policies.

The older address says `rules` where the newer says `policy`, and repeats its answers at top level.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest, NotFound
from vault.logical.args import BOOL, INT, STRING, TIMESTAMP, TTL, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.page import Page
from vault.logical.response import Response, Shape, list_response
from vault.modules.policy.document import PolicyDocument
from vault.modules.policy.name import ROOT, canonical_name
from vault.modules.policy.store import IMMUTABLE, Policy, PolicyStore, parse_policy_name

MUST_NOT_EXIST = -1  # as check-and-set value
_EPOCH = datetime.fromtimestamp(0, UTC)
_ROOT_POLICY = Policy(name=ROOT, text="", document=PolicyDocument(), version=0, modified_ns=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyName:
    """The policy that the path names."""

    name: str = arg(STRING, "Name of the policy; upper and lower case are the same.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteArgs(PolicyName):
    """A policy."""

    policy: str = arg(STRING, "The rules in HCL or JSON, as they are or in base64.", default="")
    cas: int | None = arg(INT, "Write only if this is the present version; -1: only if there is none.", default=None)
    cas_required: bool | None = arg(BOOL, "Refuse writes without `cas` from now on.", default=None)
    expiration: datetime | None = arg(TIMESTAMP, "When the policy ends.", default=None)
    ttl: int | None = arg(TTL, "In how long the policy ends.", default=None)
    allow_slashes_in_identity_templates: bool | None = arg(BOOL, "Let values of templates hold slashes.", default=None)
    allow_wildcards_in_identity_templates: bool | None = arg(BOOL, "Let values of templates hold wildcards.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOldArgs(WriteArgs):
    """A policy at the older address."""

    rules: str = arg(STRING, "Older name of `policy`.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderArgs(Page):
    """A page of the names below a folder."""

    name: str = arg(STRING, "List names below this folder only.", default="")


class PolicyPaths:
    """Handlers of policies."""

    def __init__(self, policies: PolicyStore) -> None:
        self._policies = policies

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "policies/detailed/acl",
                "policies/detailed/acl/{name*}",
                help="List policies with their rules.",
                list=Endpoint(handler=self.list_detailed, args=FolderArgs),
            ),
            path("policies/acl", help="List policies.", list=Endpoint(handler=self.list_policies, args=Page)),
            # Listing names the folder, everything else a policy.
            path(
                "policies/acl/{name*}",
                help="Read and change a policy.",
                description="A policy says what may be done where. See docs/policies.md for its language.",
                read=Endpoint(handler=self.read, summary="Read a policy.", args=PolicyName),
                update=Endpoint(handler=self.write, summary="Create or replace a policy.", args=WriteArgs),
                patch=Endpoint(handler=self.patch, summary="Change some fields of a policy.", args=WriteArgs),
                delete=Endpoint(handler=self.delete, summary="Delete a policy.", args=PolicyName),
                list=Endpoint(handler=self.list_folder, summary="List the policies of a folder.", args=FolderArgs),
            ),
            path(
                "policy",
                help="List policies; the older address.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.list_old, args=Page),
                list=Endpoint(handler=self.list_old, args=Page),
            ),
            path(
                "policy/{name*}",
                help="Read and change a policy; the older address.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read_old, args=PolicyName),
                update=Endpoint(handler=self.write_old, args=WriteOldArgs),
                delete=Endpoint(handler=self.delete, args=PolicyName),
            ),
        )

    # -- listing ------------------------------------------------------------------------------------------------------

    def _list(self, context: SystemContext, prefix: str, args: Page, *, with_root: bool) -> tuple[str, ...]:
        """Return a page of names; root, where it is shown, stands last."""
        if args.after == ROOT and with_root:
            return ()
        size = args.size
        names = self._policies.list_names(context.transaction, prefix, args.after, size)
        return (*names, ROOT) if with_root and (size is None or len(names) < size) else names

    def list_policies(self, context: SystemContext, args: Page) -> Response | None:
        """List names."""
        return list_response(self._list(context, "", args, with_root=True))

    def list_folder(self, context: SystemContext, args: FolderArgs) -> Response | None:
        """List names below a folder."""
        prefix = _read_folder(args)
        return list_response(self._list(context, prefix, args, with_root=not prefix))

    def list_detailed(self, context: SystemContext, args: FolderArgs) -> Response | None:
        """List names with what they name."""
        prefix = _read_folder(args)
        names = self._list(context, prefix, args, with_root=not prefix)
        found = {name: self._find(context, name) for name in names}
        return list_response(names, {name: _describe(policy) for name, policy in found.items() if policy is not None})

    def list_old(self, context: SystemContext, args: Page) -> Response:
        """List names under both of their keys."""
        names = list(self._list(context, "", args, with_root=True))
        return Response(data={"keys": names, "policies": names})

    # -- reading ------------------------------------------------------------------------------------------------------

    def _find(self, context: SystemContext, name: str) -> Policy | None:
        return _ROOT_POLICY if canonical_name(name) == ROOT else self._policies.find(context.transaction, name)

    def read(self, context: SystemContext, args: PolicyName) -> Response:
        """Answer a policy."""
        policy = self._find(context, args.name)
        if policy is None:
            raise NotFound
        return Response(data=_describe(policy))

    def read_old(self, context: SystemContext, args: PolicyName) -> Response:
        """Answer a policy, its text as `rules`."""
        policy = self._find(context, args.name)
        if policy is None:
            raise NotFound
        data = _describe(policy)
        return Response(data={"rules" if key == "policy" else key: value for key, value in data.items()})

    # -- changing -----------------------------------------------------------------------------------------------------

    def write(self, context: SystemContext, args: WriteArgs) -> None:
        """Create or replace a policy."""
        name = _require_changeable(args.name)
        self._put(context, args, current=self._policies.find(context.transaction, name), base=_new(name))

    def write_old(self, context: SystemContext, args: WriteOldArgs) -> Response | None:
        """Create or replace a policy given as `policy` or `rules`."""
        if args.policy or not args.rules:
            self.write(context, args)
            return None
        self.write(context, replace(args, policy=args.rules))
        return Response(warnings=("'rules' is deprecated, please use 'policy' instead",))

    def patch(self, context: SystemContext, args: WriteArgs) -> Response:
        """Change the given fields of a policy."""
        if canonical_name(args.name) == ROOT:
            raise InvalidRequest("'policy' parameter not supplied or empty")
        current = self._policies.find(context.transaction, _require_changeable(args.name))
        if current is None:
            raise InvalidRequest("policy not found")
        base = replace(current, expires_ns=None) if "expiration" in context.data and args.expiration is None else current
        if "policy" not in context.data:
            args = replace(args, policy=current.text)
        self._put(context, args, current=current, base=base)
        return Response()

    def _put(self, context: SystemContext, args: WriteArgs, *, current: Policy | None, base: Policy) -> None:
        if not args.policy:
            raise InvalidRequest("'policy' parameter not supplied or empty")
        given = {key: value for key in _FLAGS if (value := getattr(args, key)) is not None}
        policy = replace(
            base, text=_decode_text(args.policy), version=current.version + 1 if current else 1, modified_ns=context.now_ns, **given
        )
        _check_version(args.cas, current, required=policy.cas_required or (current is not None and current.cas_required))
        expires_ns = _read_end(args, context.now_ns)
        self._policies.put(context.transaction, policy if expires_ns is None else replace(policy, expires_ns=expires_ns))

    def delete(self, context: SystemContext, args: PolicyName) -> None:
        """Delete a policy; a missing one is no error."""
        self._policies.delete(context.transaction, args.name)


_FLAGS = ("cas_required", "allow_slashes_in_identity_templates", "allow_wildcards_in_identity_templates")


def _read_folder(args: FolderArgs) -> str:
    folder = canonical_name(args.name).strip("/")
    return f"{folder}/" if folder else ""


def _new(name: str) -> Policy:
    return Policy(name=name, text="", document=PolicyDocument(), version=0, modified_ns=0)


def _require_changeable(name: str) -> str:
    canonical = canonical_name(name)
    if canonical in IMMUTABLE:
        raise InvalidRequest(f'cannot update "{canonical}" policy')
    return parse_policy_name(canonical)


def _decode_text(text: str) -> str:
    """Return the text itself where it was given in base64."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text


def _check_version(cas: int | None, current: Policy | None, *, required: bool) -> None:
    if cas is None:
        if required:
            raise InvalidRequest("check-and-set parameter required for this call")
        return
    version = 0 if current is None else current.version
    if cas == MUST_NOT_EXIST:
        if current is not None:
            raise InvalidRequest("check-and-set parameter set to -1 on existing entry")
    elif cas != version:
        raise InvalidRequest(f"check-and-set parameter {cas} did not match the current version {version}")


def _read_end(args: WriteArgs, now_ns: int) -> int | None:
    """Return when the policy shall end, in unix nanoseconds."""
    if args.ttl is not None and args.expiration is not None:
        raise InvalidRequest("cannot supply both 'expiration' and 'ttl' for policies")
    if args.ttl is not None:
        end = now_ns + args.ttl * 10**9
    elif args.expiration is not None:
        end = (args.expiration - _EPOCH) // timedelta(microseconds=1) * 1000
    else:
        return None
    if end <= now_ns:
        raise InvalidRequest("refusing to update policy as expiration time has already elapsed")
    if end >= _END_NS_MAX:
        raise InvalidRequest("expiration time is too far away")
    return end


_END_NS_MAX = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * 10**9  # what a four-digit year can say


def _describe(policy: Policy) -> Mapping[str, Any]:
    data: dict[str, Any] = {
        "name": policy.name,
        "policy": policy.text,
        "version": policy.version,
        "cas_required": policy.cas_required,
        "allow_slashes_in_identity_templates": policy.allow_slashes_in_identity_templates,
        "allow_wildcards_in_identity_templates": policy.allow_wildcards_in_identity_templates,
    }
    if policy.modified_ns:
        data["modified"] = format_rfc3339_nano(policy.modified_ns)
    if policy.expires_ns is not None:
        data["expiration"] = format_rfc3339_nano(policy.expires_ns)
    return data
