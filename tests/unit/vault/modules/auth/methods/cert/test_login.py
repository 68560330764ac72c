"""Logins by certificate: who is refused, who gets in, and what they get."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from tests.issuer import SERVER, name, text_extension
from tests.unit.vault.modules.auth.methods.cert.conftest import CertWorld
from vault.errors import InvalidRequest, PermissionDenied

INVALID = "invalid certificate or no client certificate supplied"
UNMATCHED = "no chain matching all constraints"
WARD = "1.2.3.4"


def test_nobody_without_a_certificate_gets_in(world: CertWorld) -> None:
    """No certificate, nonsense, or one of nobody's: refused, with and without a role's name."""
    world.trust()
    with pytest.raises(InvalidRequest, match="no client certificate found"):
        world.enter()
    stranger = world.make("other", authority=True).issue("client", now=world.now)
    for shown in (stranger, world.make("client"), world.make("root", authority=True).issue("client", now=world.now)):
        for role in ("", "web", "none"):
            with pytest.raises(InvalidRequest, match=INVALID):
                world.enter(shown, name=role)


@pytest.mark.parametrize(
    "options",
    [
        {"until": timedelta(minutes=-1)},
        {"since": timedelta(minutes=1)},
        {"purposes": [SERVER]},
        {"subject": "con\x1btrol"},
    ],
)
@pytest.mark.parametrize("trusted", ["authority", "client"])
def test_certificate_that_does_not_hold_is_refused(world: CertWorld, options: dict[str, Any], trusted: str) -> None:
    """Late, early, or meant for something else: trust in the certificate itself changes nothing about it."""
    own = {"subject": "client"} | options
    shown = world.client(own.pop("subject"), **own)
    world.trust()
    if trusted == "client" and "purposes" not in options:
        world.trust("own", certificate=shown.pem)
    with pytest.raises(InvalidRequest, match=INVALID):
        world.enter(shown)


def test_trusted_client_is_compared_in_full(world: CertWorld) -> None:
    """Another certificate with the same names, number and even key is another one; it signs nobody, either."""
    own = world.make("client", serial=77)
    world.trust(certificate=own.pem)
    twins = (
        world.make("client", serial=77),
        world.make("client", serial=77, key=own.key, until=timedelta(days=2)),
        world.make("admin", key=own.key),
        own.issue("admin", now=world.now),
        own.issue("client", now=world.now, serial=77),
    )
    for twin in twins:
        for chain in ((twin,), (twin, own)):
            with pytest.raises(InvalidRequest, match=INVALID):
                world.enter(*chain)
    assert world.enter(own).metadata["serial_number"] == "77"


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"allowed_common_names": "other"}, False),
        ({"allowed_common_names": "cli?nt"}, False),
        ({"allowed_common_names": "CLIENT"}, False),
        ({"allowed_common_names": "other,cl*t"}, True),
        ({"allowed_dns_sans": "client"}, False),
        ({"allowed_dns_sans": "*.example.org"}, False),
        ({"allowed_dns_sans": "*.example"}, True),
        ({"allowed_email_sans": "*@example"}, False),
        ({"allowed_email_sans": "*@example.org"}, True),
        ({"allowed_uri_sans": "spiffe://b/*"}, False),
        ({"allowed_uri_sans": "spiffe://a/*"}, True),
        ({"allowed_organizational_units": "surg"}, False),
        ({"allowed_organizational_units": "surgery"}, True),
        ({"allowed_names": "spiffe*"}, False),
        ({"allowed_names": "a@*"}, True),
        ({"required_extensions": f"{WARD}:east"}, False),
        ({"required_extensions": f"{WARD}:*,9.9.9:*"}, False),
        ({"required_extensions": f"{WARD}:we*"}, True),
        ({"allowed_common_names": "client", "allowed_dns_sans": "no.example"}, False),
        ({"allowed_common_names": "client", "allowed_dns_sans": "a.example"}, True),
    ],
)
def test_role_asks_for_names(world: CertWorld, fields: dict[str, str], fits: bool) -> None:
    """Of each kind that a role names, one must match, case included; only `*` is special."""
    shown = world.client(
        name("client", "surgery"),
        names=[x509.DNSName("a.example"), x509.RFC822Name("a@example.org"), x509.UniformResourceIdentifier("spiffe://a/b")],
        extensions=[text_extension(WARD, "west")],
    )
    for role, certificate in (("authority", world.root.pem), ("self", shown.pem)):
        world.trust(role, certificate=certificate, **fields)
        if fits:
            assert world.enter(shown, name=role).metadata["cert_name"] == role
        else:
            with pytest.raises(InvalidRequest, match=UNMATCHED if role == "authority" else INVALID):
                world.enter(shown, name=role)


def test_login_tells_who_it_was(world: CertWorld) -> None:
    """Names, numbers and chosen extensions are metadata; the common name is the alias, so two certificates of one name are one entity."""
    world.trust("Web", allowed_metadata_extensions=f"{WARD},9.9.9", display_name="wards", ttl="10m", policies="old")
    shown = world.client("anna", extensions=[text_extension(WARD, "west"), x509.SubjectKeyIdentifier(b"\x01\xab")])
    auth = world.enter(shown, name="WEB")
    assert auth.metadata == {
        "cert_name": "web",
        "common_name": "anna",
        "serial_number": shown.serial,
        "subject_key_id": "01:ab",
        "authority_key_id": "",
        "1-2-3-4": "west",
    }
    assert (auth.display_name, auth.policies, auth.lease_duration_seconds) == ("cert-wards", ("default", "web"), 600)
    assert world.enter(world.client("anna")).entity_id == auth.entity_id
    assert world.enter(world.client("berta")).entity_id != auth.entity_id


def test_first_role_that_fits_decides(world: CertWorld) -> None:
    """In the order of names, certificates that are trusted by themselves first."""
    shown, other = world.client("anna"), world.client("berta")
    world.trust("a", allowed_common_names="nobody")
    world.trust("b")
    world.trust("c")
    world.trust("z", certificate=shown.pem)
    assert [world.enter(one).metadata["cert_name"] for one in (shown, other)] == ["z", "b"]
    assert world.enter(shown, name="c").metadata["cert_name"] == "c"


def test_chain_may_be_sent_or_trusted(world: CertWorld) -> None:
    """What stands between is sent by the client, or is in the role; in the role it is trusted without its root."""
    between = world.root.issue("between", authority=True, now=world.now)
    shown = between.issue("client", now=world.now)
    world.trust()
    with pytest.raises(InvalidRequest, match=INVALID):
        world.enter(shown)
    world.enter(shown, between)
    world.trust(certificate=world.root.pem + between.pem)
    world.enter(shown)
    world.trust(certificate=between.pem)
    world.enter(shown)
    with pytest.raises(InvalidRequest, match=INVALID):
        world.enter(world.client())


def test_refusal_tells_metadata_only_if_configured(world: CertWorld) -> None:
    """What was refused is repeated to its sender where the mount says so."""
    shown = world.make("client")
    for expected in (None, {"metadata": {"cert_name": "", "common_name": "client", "serial_number": shown.serial}}):
        with pytest.raises(InvalidRequest) as caught:
            world.enter(shown)
        if expected is None:
            assert caught.value.data is None
        else:
            assert caught.value.data is not None
            assert caught.value.data["metadata"].items() >= expected["metadata"].items()
        world.write("auth/cert/config", enable_metadata_on_failures=True)


def test_role_is_bound_to_addresses(world: CertWorld) -> None:
    """A good certificate from elsewhere gets no token."""
    world.trust(token_bound_cidrs="10.0.0.0/8")
    with pytest.raises(PermissionDenied):
        world.enter(world.client(), address="192.0.2.1")
    world.enter(world.client(), address="10.1.2.3")


def test_token_of_a_login_is_renewed_by_the_same_certificate_only(world: CertWorld) -> None:
    """A successor with the same key and number is another certificate; the whole chain must still hold."""
    world.trust()
    own = world.client("anna", serial=5)
    auth = world.enter(own)
    successors = (world.client("anna", serial=5, key=own.key, until=timedelta(days=2)), world.client("berta"), world.make("anna"))
    for shown in ((), *((successor,) for successor in successors)):
        with pytest.raises(InvalidRequest):
            world.renew(auth, *shown)
    assert world.renew(auth, own).client_token.reveal() == auth.client_token.reveal()
    with pytest.raises(InvalidRequest, match="not matching"):
        world.renew(auth, successors[0])
    world.write("auth/cert/config", disable_binding=True)
    world.renew(auth)
    world.write("auth/cert/config", disable_binding=False)
    with pytest.raises(InvalidRequest, match="no client certificate found"):
        world.renew(auth)


def test_renewal_follows_the_role(world: CertWorld) -> None:
    """A role that is gone, gives other policies, or asks for other names renews nothing; its times hold."""
    world.trust()
    own = world.client()
    auth = world.enter(own)
    world.trust(token_policies="other")
    with pytest.raises(InvalidRequest, match="policies have changed"):
        world.renew(auth, own)
    world.trust(allowed_common_names="other")
    with pytest.raises(InvalidRequest, match=UNMATCHED):
        world.renew(auth, own)
    world.trust(allowed_common_names="", token_ttl=120)
    assert world.renew(auth, own).lease_duration_seconds == 120
    world.clock.advance(25 * 3600)  # the certificate is over, the token is not
    with pytest.raises(InvalidRequest, match=INVALID):
        world.renew(world_auth(world, own), own)


def world_auth(world: CertWorld, own: Any) -> Any:
    """Log in a day ago, for a long time."""
    world.clock.advance(-25 * 3600)
    world.trust(token_ttl="100h")
    auth = world.enter(own)
    world.clock.advance(25 * 3600)
    return auth


def test_role_that_is_gone_renews_nothing(world: CertWorld) -> None:
    """Nor does another role take its place."""
    world.trust()
    world.trust("other")
    own = world.client()
    auth = world.enter(own, name="web")
    world.delete("auth/cert/certs/web")
    with pytest.raises(InvalidRequest, match="does not exist any more"):
        world.renew(auth, own)
