"""A secret does not show itself by accident."""

import copy
import json
import pickle
import traceback
from dataclasses import asdict, dataclass

import msgspec
import orjson
import pytest

from vault.secret import Secret

CANARY = "hvs.canary"


@dataclass(frozen=True)
class Holder:
    """Something that holds a secret."""

    secret: Secret


@pytest.mark.parametrize("show", [repr, str, format, "{}".format, "{!r:>30}".format, lambda secret: f"{secret}", "{0} {0!r}".format])
@pytest.mark.parametrize("wrapped", [False, True])
def test_secret_does_not_show_itself(show: object, wrapped: bool) -> None:
    """No way to make text of it, or of what holds it, tells the secret."""
    secret = Secret(CANARY)
    assert callable(show)
    text = show(Holder(secret) if wrapped and show is not format else secret)
    assert CANARY not in text
    assert "***" in text


@pytest.mark.parametrize(
    "encode",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        orjson.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        lambda s: asdict(Holder(s)),
    ],
)
def test_secret_is_never_serialised(encode: object) -> None:
    """Every encoder refuses it, and the refusal does not tell it."""
    assert callable(encode)
    with pytest.raises(TypeError) as refusal:
        encode(Secret(CANARY))
    assert CANARY not in str(refusal.value)


def test_secret_is_not_in_tracebacks() -> None:
    """Not even where local variables are printed."""
    secret = Secret(CANARY)

    def fail(inner: Secret) -> None:
        raise RuntimeError(inner)

    with pytest.raises(RuntimeError) as failure:
        fail(secret)
    shown = "".join(traceback.TracebackException.from_exception(failure.value, capture_locals=True).format())
    assert "inner = Secret(***)" in shown
    assert CANARY not in shown


def test_secrets_compare_by_value() -> None:
    """Equal texts are equal secrets, whatever characters they hold; a secret equals no string."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("é\ud800") == Secret("é\ud800")
    assert Secret("é\ud800") != Secret("é?")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")
    assert Secret("a").reveal() == "a"
