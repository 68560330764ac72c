"""The second factor of a login: which enforcements it meets, and whether what it brings satisfies all of them.

Every refusal says the same, whether a code was wrong, used, or not looked at because the attempts are used up.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from vault.errors import SecondFactorFailed
from vault.logical.context import SystemContext
from vault.logical.mount import Mount
from vault.logical.request import SecondFactor
from vault.logical.standing import Standing
from vault.modules.identity.mfa.enrolment import pay, spend
from vault.modules.identity.mfa.table import Enforcement, Method, Table, read_table
from vault.secret import Secret
from vault.storage.transaction import Transaction

_PAID = "second factors"


class Runner(Protocol):
    """Where transactions run."""

    def run(self, work: Callable[[Transaction], Any]) -> Any:
        """Run one transaction, again on conflict."""


class SecondFactors:
    """Judges the second factors of logins."""

    def __init__(self, store: Runner) -> None:
        self._store = store

    def list_enforcements(self, transaction: Transaction, mount: Mount, standing: Standing | None) -> tuple[Enforcement, ...]:
        """Return what a login has to satisfy."""
        return read_table(transaction).list_enforcements(mount, standing)

    def describe(self, transaction: Transaction, enforcements: Iterable[Enforcement]) -> dict[str, Any]:
        """Return the constraints as clients know them."""
        methods = read_table(transaction).stored.methods
        return {
            rule.name: {
                "any": [
                    {"type": "totp", "id": method.id, "uses_passcode": True, "name": method.name}
                    for method in (methods[method_id] for method_id in rule.method_ids)
                ]
            }
            for rule in enforcements
        }

    def require(
        self, context: SystemContext, entity_id: str, enforcements: tuple[Enforcement, ...], factors: tuple[SecondFactor, ...]
    ) -> None:
        """Use up what satisfies the enforcements; raises SecondFactorFailed if that is not so for all of them."""
        given = _sort_out(read_table(context.transaction), factors)
        chosen = {method_id for rule in enforcements for method_id in rule.method_ids if method_id in given}
        for rule in enforcements:
            if chosen.isdisjoint(rule.method_ids):
                raise SecondFactorFailed(_explain(rule))
        methods = tuple(given[method_id][0] for method_id in sorted(chosen))
        # Once for the request: that the handler runs again after a conflict is no fault of the caller.
        if _PAID not in context.kept:
            self._pay(context, entity_id, methods, enforcements)
        good = {method.id for method in methods if spend(context.transaction, method, entity_id, given[method.id][1], context.now)}
        for rule in enforcements:
            if good.isdisjoint(rule.method_ids):
                raise SecondFactorFailed(_explain(rule))

    def _pay(self, context: SystemContext, entity_id: str, methods: tuple[Method, ...], enforcements: tuple[Enforcement, ...]) -> None:
        try:
            self._store.run(partial(pay, methods=methods, entity_id=entity_id, now=context.now))
        except SecondFactorFailed:
            raise SecondFactorFailed(_explain(enforcements[0])) from None
        context.kept[_PAID] = True


def _sort_out(table: Table, factors: tuple[SecondFactor, ...]) -> dict[str, tuple[Method, Secret]]:
    """Return methods and codes by the method's id; two codes for one method are two guesses, and count for none."""
    given: dict[str, tuple[Method, Secret]] = {}
    doubled = set()
    for factor in factors:
        method = table.find_method(factor.method)
        if method is not None:
            doubled |= {method.id} & given.keys()
            given[method.id] = method, factor.code
    return {method_id: pair for method_id, pair in given.items() if method_id not in doubled}


def _explain(rule: Enforcement) -> str:
    # Clients know these words.
    return (
        f"failed to satisfy enforcement {rule.name}. error: 2 errors occurred:\n\t* MFA credentials not supplied or incorrect\n\t"
        f"* login MFA validation failed for methodID: [{' '.join(rule.method_ids)}]\n\n"
    )
