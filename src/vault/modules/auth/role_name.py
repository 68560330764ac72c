"""Names of roles and the like below an auth method: what Vault takes in a path, in lower case."""

import re
from dataclasses import dataclass

from vault import limits
from vault.logical.args import Kind, arg

_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)


def parse_name(value: object) -> str:
    """Read a name in its one spelling."""
    if not isinstance(value, str) or len(value) > limits.ROLE_NAME_BYTES_MAX or _NAME.fullmatch(value) is None:
        raise ValueError("expected letters, digits, and - . or _ between them")
    return value.lower()


ROLE_NAME = Kind("lowercase string", {"type": "string"}, parse_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleName:
    """The role that the path names."""

    name: str = arg(ROLE_NAME, "Name of the role.")
