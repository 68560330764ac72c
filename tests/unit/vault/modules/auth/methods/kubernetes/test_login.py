"""Logins by service account: what is refused here, what the cluster refuses, and who gets in."""

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import Authority
from tests.kubernetes_api import ISSUER, REVIEWER, Cluster
from tests.unit.vault.modules.auth.methods.kubernetes.conftest import PodWorld
from vault import limits
from vault.errors import InvalidRequest, PermissionDenied

Make = Callable[[Cluster], str]
NESTED = {"namespace": "apps", "serviceaccount": {"name": "web", "uid": "uid-web"}}


def _unsigned(cluster: Cluster) -> str:
    return jwt.encode(jwt.decode(cluster.token(), options={"verify_signature": False}), "", algorithm="none")


def _confused(cluster: Cluster) -> str:
    claims = jwt.decode(cluster.token(), options={"verify_signature": False})
    return jwt.encode(claims, "x" * 64, algorithm="HS256")


FORGED: dict[str, Make] = {
    "empty": lambda _: " ",
    "no token": lambda _: "nonsense",
    "three dots": lambda _: "a.b.c",
    "without a signature": _unsigned,
    "signed by a shared secret": _confused,
    "signed by a stranger": lambda cluster: cluster.token(key=ec.generate_private_key(ec.SECP256R1())),
    "cut": lambda cluster: cluster.token()[:-8],
    "expired": lambda cluster: cluster.token(now=time.time() - 7200),
    "from the future": lambda cluster: cluster.token(now=time.time() + 7200),
    "with a time that is none": lambda cluster: cluster.token(exp=float("inf")),
    "for somebody else": lambda cluster: cluster.token(aud=["other"]),
    "for no audience that is one": lambda cluster: cluster.token(aud=[1]),
    "of another account": lambda cluster: cluster.token("vault", "reviewer"),
    "of another name": lambda cluster: cluster.token("apps", "other"),
    "of another namespace": lambda cluster: cluster.token("other", "web"),
    "with another's name in it": lambda cluster: cluster.token("vault", "reviewer", nested=NESTED),
    "without an account": lambda cluster: cluster.token(nested={"namespace": "apps"}),
    "with an account that is none": lambda cluster: cluster.token(nested=NESTED | {"serviceaccount": ["web"]}),
    "with a name that is none": lambda cluster: cluster.token(nested=NESTED | {"namespace": 7}),
    "with another uid": lambda cluster: cluster.token(nested=NESTED | {"serviceaccount": {"name": "web", "uid": "uid-former"}}),
    "without a uid": lambda cluster: cluster.token(nested=NESTED | {"serviceaccount": {"name": "web", "uid": ""}}),
    "too long": lambda cluster: cluster.token(noise="x" * limits.JWT_BYTES_MAX),
    "deep": lambda cluster: jwt.PyJWS().encode(b'{"a":' + b"[" * 8_000 + b"]" * 8_000 + b"}", cluster.key, algorithm="ES256"),
}


@pytest.mark.parametrize("keys", [False, True], ids=["by the API", "by keys and the API"])
@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED)
def test_forged_token_is_refused(world: PodWorld, make: Make, keys: bool) -> None:
    """Whether or not signatures are verified here, and before the API has to say a word about what a role does not take."""
    world.role(audience="https://kubernetes.default.svc")
    world.configure(pem_keys=[world.cluster.public_key] if keys else [])
    with pytest.raises(PermissionDenied):
        world.enter(make(world.cluster))


@pytest.mark.parametrize(
    ("fields", "message"),
    [({}, "missing role"), ({"role": "web"}, "missing jwt"), ({"role": "none", "jwt": "x"}, 'invalid role name "none"')],
)
def test_request_that_lacks_something_is_refused(world: PodWorld, fields: dict[str, Any], message: str) -> None:
    """In Vault's words."""
    with pytest.raises(InvalidRequest, match=message):
        world.write("auth/kubernetes/login", token=None, **fields)


def test_api_is_not_asked_about_whom_no_role_takes(world: PodWorld) -> None:
    """Name first, then namespace; strangers cannot make us ask."""
    world.cluster.accounts |= {("apps", "other"): "u", ("lab", "web"): "v"}
    for account, message in ((("apps", "other"), "name not authorized"), (("lab", "web"), "namespace not authorized")):
        with pytest.raises(PermissionDenied, match=message):
            world.enter(world.cluster.token(*account))
    world.role(token_bound_cidrs="10.0.0.0/8")
    with pytest.raises(PermissionDenied):
        world.enter(address="192.0.2.1")
    assert world.cluster.seen == []
    world.enter(address="10.0.0.1")


def _say(body: bytes, status: str = "200 OK") -> Callable[[BaseHTTPRequestHandler], object]:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head + body)

    return answer


GOOD = b'{"status":{"authenticated":true,"audiences":["https://kubernetes.default.svc"],"user":%s}}'
USER = b'{"username":"system:serviceaccount:apps:web","uid":"uid-web"}'
BAD: dict[str, Callable[[BaseHTTPRequestHandler], object]] = {
    "an error": _say(b'{"kind":"Status","status":"Failure"}', "500 Internal Server Error"),
    "a good answer with an error": _say(GOOD % USER, "403 Forbidden"),
    "a redirect": _say(GOOD % USER, "302 Found"),
    "nothing": lambda _: None,
    "nonsense": _say(b"nonsense"),
    "a failure without a status": _say(b'{"kind":"Status","status":"Failure"}'),
    "not authenticated": _say((GOOD % USER).replace(b"true", b"false")),
    "authenticated, as text": _say((GOOD % USER).replace(b"true", b'"true"')),
    "an error beside it": _say((GOOD % USER).replace(b"true", b'true,"error":"no"')),
    "no audience": _say((GOOD % USER).replace(b'"audiences":["https://kubernetes.default.svc"],', b"")),
    "another audience": _say((GOOD % USER).replace(b"default.svc", b"other.svc")),
    "another account": _say(GOOD % USER.replace(b"web", b"db")),
    "another namespace": _say(GOOD % USER.replace(b":apps:", b":lab:")),
    "no service account": _say(GOOD % b'{"username":"admin","uid":"uid-web"}'),
    "another uid": _say(GOOD % USER.replace(b"uid-web", b"uid-new")),
    "no uid": _say(GOOD % USER.replace(b"uid-web", b"")),
    "deep": _say(b'{"status":{"authenticated":true,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"),
    "huge": _say(b" " * limits.KUBERNETES_BYTES_MAX + GOOD % USER),
    "cut": lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + GOOD % USER),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_bad_answer_of_the_api_lets_nobody_in(world: PodWorld, answer: Callable[[BaseHTTPRequestHandler], object]) -> None:
    """Nothing but a clear yes to this account, for this audience, is one."""
    world.cluster.instead = answer
    with pytest.raises(PermissionDenied, match=r"^permission denied$"):
        world.enter()
    world.cluster.instead = _say(GOOD % USER)
    world.enter()


def test_slow_api_lets_nobody_in(world: PodWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """And holds nobody for longer than its time."""
    monkeypatch.setattr(limits, "KUBERNETES_SECONDS_MAX", 0.3)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" * 100:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    world.cluster.instead = drip
    begun = time.monotonic()
    with pytest.raises(PermissionDenied):
        world.enter()
    assert time.monotonic() - begun < 10  # of 0.3, on a busy machine; dripping takes minutes


def test_api_with_a_foreign_certificate_learns_no_token(world: PodWorld, tmp_path: Path) -> None:
    """Neither the caller's nor the reviewer's."""
    world.configure(kubernetes_ca_cert=Path(Authority(tmp_path, "other").file).read_text())
    with pytest.raises(PermissionDenied):
        world.enter()
    assert world.cluster.seen == []


def test_reviewer_must_be_one(world: PodWorld) -> None:
    """A configured token that may not review refuses everybody; without one, each reviews itself where the cluster lets it."""
    world.configure(token_reviewer_jwt=world.cluster.token())
    with pytest.raises(PermissionDenied):
        world.enter()
    world.configure(token_reviewer_jwt="")
    with pytest.raises(PermissionDenied):
        world.enter()
    world.cluster.reviewers.add(("apps", "web"))
    world.enter()


def test_deleted_account_is_refused(world: PodWorld) -> None:
    """Also if it was made anew with the same name, and its keys are known here."""
    token = world.cluster.token()
    world.configure(pem_keys=[world.cluster.public_key])
    world.enter(token)
    world.cluster.accounts["apps", "web"] = "uid-new"
    with pytest.raises(PermissionDenied):
        world.enter(token)
    world.enter()
    del world.cluster.accounts["apps", "web"]
    with pytest.raises(PermissionDenied):
        world.enter(token)


def test_issuer_counts_where_it_is_verified(world: PodWorld) -> None:
    """By default it is not, as in Vault; without a name it is that of tokens in secrets."""
    world.configure(disable_iss_validation=False, issuer="https://other")
    with pytest.raises(PermissionDenied, match="issuer"):
        world.enter()
    world.configure(disable_iss_validation=False, issuer=ISSUER)
    world.enter()
    world.configure(disable_iss_validation=False)
    with pytest.raises(PermissionDenied, match="issuer"):
        world.enter()
    world.enter(world.cluster.legacy_token())


def test_login_tells_who_it_was(world: PodWorld) -> None:
    """The uid names the alias, or namespace and name where the role says so."""
    auth = world.enter(role="WEB")
    assert auth.metadata == {
        "role": "web",
        "service_account_name": "web",
        "service_account_namespace": "apps",
        "service_account_uid": "uid-web",
        "service_account_secret_name": "",
    }
    assert (auth.display_name, auth.policies) == ("kubernetes-apps-web", ("default", "web"))
    assert world.enter().entity_id == auth.entity_id
    assert world.enter(world.cluster.legacy_token()).metadata["service_account_secret_name"] == "web-token"
    world.role("named", alias_name_source="serviceaccount_name")
    named = world.enter(role="named")
    assert named.entity_id != auth.entity_id
    world.cluster.accounts["apps", "web"] = "uid-new"
    assert world.enter(role="named").entity_id == named.entity_id
    assert world.enter().entity_id not in (auth.entity_id, named.entity_id)


def test_audience_of_the_role_is_asked_of_the_api(world: PodWorld) -> None:
    """A token for the vault alone is good where the role names that audience."""
    world.role(audience="vault")
    with pytest.raises(PermissionDenied, match="audience"):
        world.enter()
    world.enter(world.cluster.token(aud=["vault"]))


def test_namespace_is_chosen_by_its_labels(world: PodWorld) -> None:
    """Beside those that are named; without a token that reads namespaces there are no labels."""
    world.cluster.accounts |= {("lab", "web"): "uid-lab", ("vault", "web"): "uid-vault"}
    world.role(bound_service_account_namespaces="vault", bound_service_account_namespace_selector='{"matchLabels":{"stage":"test"}}')
    world.enter(world.cluster.token("vault", "web"))
    assert not [seen for seen in world.cluster.seen if "namespaces" in seen]
    world.enter(world.cluster.token("lab", "web"))
    for token in (world.cluster.token(), world.cluster.token("gone", "web"), world.cluster.token("lab/../apps", "web")):
        with pytest.raises(PermissionDenied):
            world.enter(token)
    world.configure(token_reviewer_jwt="")
    with pytest.raises(PermissionDenied):
        world.enter(world.cluster.token("lab", "web"))


def test_server_in_a_pod_uses_the_files_of_its_pod(world: PodWorld, folder: Path) -> None:
    """They are read when they are needed: Kubernetes exchanges them."""
    (folder / "ca.crt").write_text(world.cluster.ca_cert)
    world.configure(kubernetes_ca_cert="", token_reviewer_jwt="")
    with pytest.raises(PermissionDenied):
        world.enter()
    (folder / "token").write_text(world.cluster.token(*REVIEWER) + "\n")
    world.enter()
    assert world.read("auth/kubernetes/config")["kubernetes_ca_cert"] == ""
    world.configure(token_reviewer_jwt="", disable_local_ca_jwt=True)
    with pytest.raises(PermissionDenied):
        world.enter()
    world.configure(kubernetes_ca_cert="", token_reviewer_jwt="")
    (folder / "ca.crt").unlink()
    with pytest.raises(PermissionDenied):
        world.enter()


def test_renewal_follows_the_role(world: PodWorld) -> None:
    """A role that is gone, or takes the account no more, renews nothing; its times hold."""
    auth = world.enter()
    world.role(token_ttl=120)
    assert world.renew(auth).lease_duration_seconds == 120
    changes: tuple[dict[str, Any], ...] = (
        {"bound_service_account_names": "other"},
        {"bound_service_account_namespaces": "lab"},
        {"bound_service_account_namespaces": "lab", "bound_service_account_namespace_selector": '{"matchLabels":{"stage":"test"}}'},
    )
    for change in changes:
        world.role(**change)
        with pytest.raises(PermissionDenied):
            world.renew(auth)
    world.role(bound_service_account_namespace_selector='{"matchLabels":{"stage":"prod"}}', bound_service_account_namespaces="lab")
    world.renew(auth)
    world.delete("auth/kubernetes/role/web")
    with pytest.raises(InvalidRequest, match="does not exist any more"):
        world.renew(auth)


def test_role_that_changes_during_the_review_decides_nothing(world: PodWorld) -> None:
    """What the API was asked about is what the token is made of."""
    world.cluster.before_review = lambda: world.role(token_policies="less")
    with pytest.raises(InvalidRequest, match="changed meanwhile"):
        world.enter()
    world.cluster.before_review = lambda: None
    assert world.enter().policies == ("default", "less")
