"""Random operations on the engine and on a plain model: after each, both say the same.

KV_MODEL_OPERATIONS=100000 runs longer than the usual 5,000.
"""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.property.engines.model import SECOND_NS, Model, Refused
from tests.unit.vault.modules.engines.world import START_NS, World
from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest
from vault.logical.response import Response
from vault.modules.engines.kv.backend import kv_v2

OPERATIONS = int(os.environ.get("KV_MODEL_OPERATIONS", "5000"))
ROUNDS = 5
PATHS = ("a", "a/1", "a/b", "ab")
AGES = (0, 0, 1, 5, 60)


class Driver:
    """Does the same to the model and, through one of two workers, to the engine."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.model = Model(now=START_NS)
        first = World(kv_v2())
        self.worlds = (first, first.worker())
        self.count = 0

    def _world(self) -> World:
        world = self.random.choice(self.worlds)
        world.now_ns = self.model.now
        return world

    def _numbers(self, path: str) -> list[int]:
        secret = self.model.secrets.get(path)
        last = secret.current if secret else 1
        return [self.random.randint(max(0, last - 12), last + 1) for _ in range(self.random.randint(1, 3))]

    def _cas(self, path: str) -> int | None:
        secret = self.model.secrets.get(path)
        current = secret.current if secret else 0
        return self.random.choice((None, None, current, current, current + self.random.randint(-2, 2)))

    def step(self) -> None:
        """Do one operation, then compare everything about its secret."""
        self.count += 1
        self.model.now += self.random.choice((0, 1, SECOND_NS // 2, SECOND_NS, 3 * SECOND_NS))
        path = self.random.choice(PATHS)
        actions: tuple[tuple[Callable[[str], None], int], ...] = (
            (self.write, 40),
            (self.patch, 15),
            (self.delete, 10),
            (self.undelete, 12),
            (self.destroy, 5),
            (self.tune, 6),
            (self.configure, 2),
            (self.forget, 1),
        )
        action = self.random.choices([action for action, _ in actions], [weight for _, weight in actions])[0]
        action(path)
        self.compare(path)

    def _both(self, engine: Callable[[], Response | None], model: Callable[[], int | None]) -> None:
        try:
            expected = model()
        except Refused:
            with pytest.raises(InvalidRequest, match="check-and-set"):
                engine()
            return
        response = engine()
        assert response is not None
        if expected is None:
            assert response.status == 404
        else:
            assert response.data is not None
            assert response.data["version"] == expected

    def write(self, path: str) -> None:
        cas, data = self._cas(path), {"n": self.count, f"k{self.count % 5}": "x"}
        body = {"data": data} if cas is None else {"data": data, "options": {"cas": cas}}
        self._both(lambda: self._world().write(f"data/{path}", body), lambda: self.model.write(path, data, cas))

    def patch(self, path: str) -> None:
        cas, data = self._cas(path), {f"k{self.random.randint(0, 4)}": self.random.choice((None, self.count))}
        body = {"data": data} if cas is None else {"data": data, "options": {"cas": cas}}
        self._both(lambda: self._world().patch(f"data/{path}", body), lambda: self.model.patch(path, data, cas))

    def delete(self, path: str) -> None:
        numbers = self.random.choice((None, self._numbers(path)))
        world = self._world()
        if numbers is None:
            world.delete(f"data/{path}")
        else:
            world.write(f"delete/{path}", {"versions": numbers})
        self.model.delete(path, numbers)

    def undelete(self, path: str) -> None:
        numbers = self._numbers(path)
        self._world().write(f"undelete/{path}", {"versions": numbers})
        self.model.undelete(path, numbers)

    def destroy(self, path: str) -> None:
        numbers = self._numbers(path)
        self._world().write(f"destroy/{path}", {"versions": numbers})
        self.model.destroy(path, numbers)

    def tune(self, path: str) -> None:
        choices: tuple[tuple[str, str, Any], ...] = (
            ("keep", "max_versions", self.random.randint(0, 12)),
            ("age", "delete_version_after", self.random.choice(AGES)),
            ("cas_required", "cas_required", self.random.random() < 0.3),
        )
        name, wire, value = self.random.choice(choices)
        self._world().write(f"metadata/{path}", {wire: value})
        self.model.tune(path, name, value)

    def configure(self, _path: str) -> None:
        self.model.keep, self.model.age = self.random.choice((0, 0, 2, 15)), self.random.choice((*AGES, -1))
        self._world().write("config", {"max_versions": self.model.keep, "delete_version_after": self.model.age})

    def forget(self, path: str) -> None:
        self._world().delete(f"metadata/{path}")
        self.model.secrets.pop(path, None)

    def compare(self, path: str) -> None:
        """Compare every version of a secret, the listing and the number of rows."""
        world = self._world()
        assert world.list("metadata/") == _listing(self.model.secrets)
        settings = any(row.endswith("/config") for row in world.rows.rows)
        assert len(world.rows.rows) == self.model.rows + settings
        secret = self.model.secrets.get(path)
        last = 1 if secret is None else secret.current + 1
        # All versions now and then, a few each time: over a run every version is looked at in every state.
        numbers = range(max(0, last - 20), last + 1) if self.count % 20 == 0 else (0, *self._numbers(path))
        for number in numbers:
            assert _seen(world.read(f"data/{path}", version=max(0, number))) == self.model.read(path, max(0, number))
        if secret is not None:
            known = world.data(f"metadata/{path}")
            assert known["current_version"] == secret.current
            shown = {int(number): (version["deletion_time"], version["destroyed"]) for number, version in known["versions"].items()}
            states = self.model.states(path).items()
            assert shown == {number: ("" if at is None else format_rfc3339_nano(at), gone) for number, (at, gone) in states}


def _listing(paths: Any) -> tuple[str, ...]:
    return tuple(sorted({head + slash for head, slash, _ in (path.partition("/") for path in paths)}))


def _seen(response: Response | None) -> tuple[str, Any]:
    if response is None or response.data is None:
        return "nothing", None
    return ("data" if response.status is None else "gone"), response.data["data"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_engine_and_model_agree(seed: int) -> None:
    """Pruning, deletion, its undoing, ageing and destruction never reach a wrong version, and leave no row behind."""
    driver = Driver(seed)
    for _ in range(OPERATIONS // ROUNDS):
        driver.step()
