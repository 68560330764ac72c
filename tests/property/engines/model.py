"""A plain model of versioned secrets, written from the behaviour, not from the engine: whole values, no rows, no transactions."""

from dataclasses import dataclass, field
from typing import Any

SECOND_NS = 10**9


@dataclass(slots=True)
class ModelVersion:
    """One version with its data."""

    data: Any
    deletes_at: int | None  # unix nanoseconds
    destroyed: bool = False


@dataclass(slots=True)
class ModelSecret:
    """One secret."""

    current: int = 0
    keep: int = 0
    age: int = 0
    cas_required: bool = False
    versions: dict[int, ModelVersion] = field(default_factory=dict)


class Refused(Exception):
    """The model refuses the operation."""


@dataclass(slots=True)
class Model:
    """A mount."""

    keep: int = 0
    age: int = 0
    now: int = 0
    secrets: dict[str, ModelSecret] = field(default_factory=dict)

    def _expiry(self, secret: ModelSecret) -> int | None:
        if self.age < 0:
            return None
        ages = [age for age in (self.age, secret.age) if age > 0]
        return self.now + min(ages) * SECOND_NS if ages else None

    def _alive(self, version: ModelVersion | None) -> bool:
        if version is None or version.destroyed:
            return False
        return version.deletes_at is None or version.deletes_at > self.now

    def write(self, path: str, data: Any, cas: int | None) -> int:
        """Add a version and return its number."""
        secret = self.secrets.get(path, ModelSecret())
        if cas is None and secret.cas_required:
            raise Refused
        if cas is not None and cas != secret.current:
            raise Refused
        self.secrets[path] = secret
        secret.current += 1
        secret.versions[secret.current] = ModelVersion(data, self._expiry(secret))
        keep = max(self.keep, secret.keep) or 10
        while len(secret.versions) > keep:
            del secret.versions[min(secret.versions)]
        return secret.current

    def patch(self, path: str, patch: dict[str, Any], cas: int | None) -> int | None:
        """Add a version on top of the current one; None if there is none."""
        secret = self.secrets.get(path)
        if secret is None:
            return None
        if (cas is None and secret.cas_required) or (cas is not None and cas != secret.current):
            raise Refused
        version = secret.versions.get(secret.current)
        if version is None or not self._alive(version):
            return None
        data = {name: value for name, value in {**version.data, **patch}.items() if value is not None}
        return self.write(path, data, cas)

    def delete(self, path: str, numbers: list[int] | None) -> None:
        """Delete versions, the current one if none is named."""
        secret = self.secrets.get(path)
        if secret:
            for number in [secret.current] if numbers is None else numbers:
                version = secret.versions.get(number)
                if version and self._alive(version):
                    version.deletes_at = self.now

    def undelete(self, path: str, numbers: list[int]) -> None:
        """Undelete versions."""
        secret = self.secrets.get(path)
        if secret:
            for number in numbers:
                if number in secret.versions and not secret.versions[number].destroyed:
                    secret.versions[number].deletes_at = self._expiry(secret)

    def destroy(self, path: str, numbers: list[int]) -> None:
        """Destroy versions."""
        secret = self.secrets.get(path)
        if secret:
            for number in numbers:
                if number in secret.versions:
                    secret.versions[number].destroyed = True
                    secret.versions[number].data = None

    def tune(self, path: str, name: str, value: Any) -> None:
        """Change a setting of a secret."""
        setattr(self.secrets.setdefault(path, ModelSecret()), name, value)

    def read(self, path: str, number: int) -> tuple[str, Any]:
        """Return what a reader sees: nothing, gone, or data."""
        secret = self.secrets.get(path)
        version = secret.versions.get(number or secret.current) if secret else None
        if version is None:
            return "nothing", None
        return ("data", version.data) if self._alive(version) else ("gone", None)

    def states(self, path: str) -> dict[int, tuple[int | None, bool]]:
        """Return deletion time and destruction of every version."""
        versions = self.secrets[path].versions
        return {number: (version.deletes_at, version.destroyed) for number, version in versions.items()}

    @property
    def rows(self) -> int:
        """Return how many rows should be left in storage."""
        alive = sum(not version.destroyed for secret in self.secrets.values() for version in secret.versions.values())
        return alive + len(self.secrets)
