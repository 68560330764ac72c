"""What an entity gives to its tokens at this moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vault.logical.request import EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An entity as the authorization sees it. The same object as long as nothing of it has changed."""

    entity_id: str
    disabled: bool = False
    policies: tuple[str, ...] = ()  # of the entity and of all groups that it is in, sorted
    group_ids: tuple[str, ...] = ()  # of all groups that it is in, through other groups as well
    values: Mapping[str, str] = field(default_factory=lambda: EMPTY)  # of placeholders in policies, by name
