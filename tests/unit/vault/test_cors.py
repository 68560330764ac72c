import pytest

from tests.unit.vault.modules.system.world import World
from vault.cors import Sharing
from vault.errors import OriginNotAllowed


@pytest.mark.parametrize(
    ("origins", "credentials", "origin", "allowed"),
    [
        (("https://a",), True, "https://a", "https://a"),
        (("https://a",), False, "https://a/", None),
        (("https://a",), False, "https://A", None),
        (("https://a",), False, "http://a", None),
        (("https://a",), False, "https://a.evil", None),
        (("https://a",), False, "null", None),
        (("https://a",), False, "", None),
        (("null", "https://a"), False, "null", None),
        (("*",), False, "https://b", "*"),
        (("*",), False, "null", None),
        (("*",), True, "https://b", None),
        (("*", "https://a"), True, "https://a", "https://a"),
    ],
)
def test_origin_is_on_the_list_or_not(origins: tuple[str, ...], credentials: bool, origin: str, allowed: str | None) -> None:
    """Origins are compared as they are; `null` never is one, and no star goes with credentials."""
    assert Sharing(origins=origins, credentials=credentials).find_allowed(origin) == allowed


def test_sealed_server_knows_the_configured_origins_only(world: World) -> None:
    """What stands in storage counts as long as storage can be read and trusted."""
    world.origins = ("https://configured.example",)
    worker = world.worker()
    assert worker.seal.is_open()
    world.write("sys/config/cors", allowed_origins="https://stored.example", worker=worker)
    for origin in ("https://configured.example", "https://stored.example"):
        assert worker.gate.check_origin(origin) is not None
    world.write("sys/seal", worker=worker)
    assert worker.gate.check_origin("https://configured.example") is not None
    with pytest.raises(OriginNotAllowed):
        worker.gate.check_origin("https://stored.example")


def test_without_a_list_pages_are_not_thought_of(world: World) -> None:
    """As long as no origin is named, requests of pages are answered like others, without a word for the browser."""
    assert world.first.gate.check_origin("https://a") is None
