"""When users are locked out: what the configuration and the mounts say."""

import pytest

from tests.unit.vault.modules.system.fakes import FakeClock
from tests.unit.vault.test_config import make
from vault.config_file import WrongSetting
from vault.failures import Rule
from vault.lockout import Lockout
from vault.logical.mount import Mount, MountConfig

BLOCKS = """
user_lockout "all" {
  lockout_threshold     = "10"
  lockout_duration      = "10m"
  lockout_counter_reset = 60
}
user_lockout "approle" {
  disable_lockout = "true"
}
"""


def mount(kind: str, **own: object) -> Mount:
    """Return a mount with a rule of its own."""
    return Mount(path=f"auth/{kind}/", kind=kind, uuid="u", accessor="a", config=MountConfig(user_lockout_config=own))


def lockout(text: str = "") -> Lockout:
    """Return a counter by the configuration; it counts nothing."""
    return Lockout(None, None, FakeClock(), make(text).user_lockouts)  # type: ignore[arg-type]  # rules need no storage


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('user_lockout "jwt" {}', 'f:1: user_lockout "jwt": expected one of all, approle, ldap, userpass'),
        ('user_lockout "all" {\n lockout_threshold = 0\n}', 'f:2: user_lockout "all" lockout_threshold: expected a whole number from 1'),
        ('user_lockout "all" {\n lockout_duration = "x"\n}', 'f:2: user_lockout "all" lockout_duration: expected a duration'),
        ('user_lockout "all" {\n lockout_counter_reset = -1\n}', 'f:2: user_lockout "all" lockout_counter_reset: expected a duration'),
        ('user_lockout "all" {\n disable_lockout = "perhaps"\n}', 'f:2: user_lockout "all" disable_lockout: expected true or false'),
    ],
)
def test_a_block_that_is_wrong_stops_the_start(text: str, expected: str) -> None:
    """With the place and what was expected."""
    with pytest.raises(WrongSetting, match="^" + expected.replace("(", r"\(")):
        make(text)


def test_an_unknown_key_is_told() -> None:
    """It would be missed when somebody guesses."""
    settings = make('listener "tcp" { tls_disable = true }\nuser_lockout "all" {\n threshold = 3\n}')
    assert settings.warnings == ("f:3: unknown setting 'threshold' in user_lockout has no effect",)


def test_a_block_for_a_kind_stands_before_the_one_for_all() -> None:
    """And what a mount says before both, key by key; zero says nothing."""
    configured = lockout(BLOCKS)
    assert configured.find_rule(mount("ldap")) == Rule(threshold=10, duration_seconds=600, reset_seconds=60)
    assert configured.find_rule(mount("approle")) == Rule(disabled=True)
    assert configured.find_rule(mount("approle", disable=False)) == Rule()
    assert configured.find_rule(mount("userpass", threshold=2, duration=0)) == Rule(threshold=2, duration_seconds=600, reset_seconds=60)


def test_without_configuration_it_is_as_in_vault() -> None:
    """Five failures, fifteen minutes; other auth methods do not count."""
    assert lockout().find_rule(mount("userpass")) == Rule(threshold=5, duration_seconds=900, reset_seconds=900)
    assert lockout().find_rule(mount("jwt", threshold=1)).disabled
