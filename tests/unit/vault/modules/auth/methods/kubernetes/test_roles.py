"""Roles, selectors and configuration of the method `kubernetes`."""

import json
from typing import Any

import pytest

from tests.unit.vault.modules.auth.methods.kubernetes.conftest import PodWorld
from vault.errors import InvalidRequest, NotFound
from vault.modules.auth.methods.kubernetes.config import make_base
from vault.modules.auth.methods.kubernetes.selector import matches, parse_selector

ROLE = "auth/kubernetes/role"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bound_service_account_names": ""}, "can not be empty"),
        ({"bound_service_account_namespaces": []}, "can not be empty if"),
        ({"bound_service_account_names": "*,a"}, "can not mix"),
        ({"bound_service_account_namespaces": ["a", "*"]}, "can not mix"),
        ({"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}, "can not both be"),
        ({"alias_name_source": "nonsense"}, "invalid alias_name_source"),
        ({"bound_service_account_namespace_selector": "stage: prod"}, "invalid"),
        ({"token_period": "9000h"}, "greater than the backend's maximum"),
        ({"token_ttl": -1}, "token_ttl"),
        ({"token_policies": "root"}, "root"),
        ({"num_uses": 1.5}, "num_uses"),
    ],
)
def test_role_that_cannot_be_is_refused(world: PodWorld, fields: dict[str, Any], message: str) -> None:
    """And nothing of it is stored."""
    before = world.read(f"{ROLE}/web")
    for name in ("new", "web"):
        with pytest.raises(InvalidRequest, match=message):
            world.role(name, **fields)
    assert world.list(ROLE) == ("web",)
    assert world.read(f"{ROLE}/web") == before


def test_role_is_kept(world: PodWorld) -> None:
    """What is absent keeps its value."""
    world.role("Web", audience="vault", policies="old", token_policies=None, ttl=60)
    world.write(f"{ROLE}/web", token_max_ttl=90, bound_service_account_names=["a*", "b"])
    data = world.read(f"{ROLE}/web")
    assert (data["bound_service_account_names"], data["bound_service_account_namespaces"]) == (["a*", "b"], ["apps"])
    assert (data["audience"], data["alias_name_source"], data["ttl"], data["token_max_ttl"]) == ("vault", "serviceaccount_uid", 60, 90)
    assert world.role(token_max_ttl="9000h").warnings
    world.delete(f"{ROLE}/web")
    with pytest.raises(NotFound):
        world.read(f"{ROLE}/web")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "{}", "null", '{"matchLabels":{}}', '{"matchLabels":{"a":1}}', '{"matchlabels":{"a":"b"}}',
        '{"matchExpressions":[{}]}',
        '{"matchExpressions":[{"key":"a","operator":"Like","values":["b"]}]}', '{"matchExpressions":[{"key":"a","operator":"In"}]}',
        '{"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]}', '{"matchExpressions":[{"key":"","operator":"Exists"}]}',
        '{"matchLabels":{"a":"b"},"more":1}', '{"a":' * 5_000,
    ],
)  # fmt: skip
def test_selector_that_is_none_is_refused(text: str) -> None:
    """Above all one without a condition: it would take every namespace."""
    with pytest.raises(ValueError):
        parse_selector(text)


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({"matchLabels": {"stage": "prod"}}, True),
        ({"matchLabels": {"stage": "prod", "team": "a"}}, False),
        ({"matchLabels": {"stage": "Prod"}}, False),
        ({"matchExpressions": [{"key": "stage", "operator": "In", "values": ["test", "prod"]}]}, True),
        ({"matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["prod"]}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "stage", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "stage", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"stage": "prod"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]}, False),
    ],
)
def test_selector_chooses_as_kubernetes_does(selector: Any, fits: bool) -> None:
    """All conditions must hold; a label that is missing is in no list."""
    assert matches(parse_selector(json.dumps(selector)), {"stage": "prod"}) is fits


@pytest.mark.parametrize(
    "fields",
    [
        {"kubernetes_host": ""},
        {"kubernetes_host": "https://user:secret@k8s/"},
        {"kubernetes_host": "ftp://k8s/"},
        {"kubernetes_host": "http://k8s.example/"},
        {"kubernetes_host": "https://k8s/?a=b"},
        {"kubernetes_host": "k8s::"},
        {"kubernetes_ca_cert": "nonsense"},
        {"kubernetes_ca_cert": ""},
        {"kubernetes_ca_cert": "", "disable_local_ca_jwt": True},
        {"pem_keys": ["nonsense"]},
        {"token_reviewer_jwt": "a\r\nHost: b"},
        {"disable_iss_validation": "maybe"},
    ],
)
def test_configuration_that_cannot_be_is_refused(world: PodWorld, fields: dict[str, Any]) -> None:
    """And the one before stays."""
    before = world.read("auth/kubernetes/config")
    with pytest.raises(InvalidRequest):
        world.configure(**fields)
    assert world.read("auth/kubernetes/config") == before


def test_configuration_is_replaced_and_hides_its_token(world: PodWorld) -> None:
    """A write says all of it; the token is never shown."""
    world.configure(issuer="i", pem_keys=[world.cluster.public_key])
    data = world.read("auth/kubernetes/config")
    assert (data["issuer"], data["token_reviewer_jwt_set"], data["pem_keys"]) == ("i", True, [world.cluster.public_key.strip()])
    assert "token_reviewer_jwt" not in data
    world.configure(token_reviewer_jwt="")
    data = world.read("auth/kubernetes/config")
    assert (data["issuer"], data["token_reviewer_jwt_set"], data["pem_keys"]) == ("", False, [])


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("k8s.example", "https://k8s.example"),
        ("10.0.0.1:6443", "https://10.0.0.1:6443"),
        ("https://k8s.example/base/", "https://k8s.example/base"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("http://localhost:8001/", "http://localhost:8001"),
    ],
)
def test_host_is_read_as_vault_reads_it(host: str, base: str) -> None:
    """A URL, or a host and its port."""
    assert make_base(host) == base


def test_method_without_a_configuration_lets_nobody_in(world: PodWorld) -> None:
    """It says what is missing."""
    world.write("sys/auth/second", type="kubernetes")
    assert world.send_read("auth/second/config", world.first) is None
    world.write("auth/second/role/web", bound_service_account_names="web", bound_service_account_namespaces="apps")
    with pytest.raises(InvalidRequest, match="could not load backend configuration"):
        world.write("auth/second/login", token=None, role="web", jwt=world.cluster.token())
