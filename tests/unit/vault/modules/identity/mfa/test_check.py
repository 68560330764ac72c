"""The second factor of logins: what is asked, what is taken, and what is left behind. Several workers share one database."""

from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest

from tests.unit.vault.modules.identity.mfa.door import Clinic
from vault import limits
from vault.errors import InvalidRequest, PermissionDenied, SecondFactorFailed
from vault.logical.operation import Operation
from vault.modules.auth.tokens import ROWS as TOKENS


@pytest.fixture
def app(clinic: Clinic) -> pyotp.TOTP:
    """Return the app of an entity whose logins need it."""
    made = clinic.enrol()
    clinic.enforce()
    return made


def spellings(code: str) -> tuple[str, ...]:
    """Return what looks like a code and is none."""
    arabic = "".join(chr(0x0660 + int(digit)) for digit in code)
    wide = "".join(chr(0xFF10 + int(digit)) for digit in code)
    return (f" {code}", f"{code} ", f"{code}\n", f"+{code}", f"0{code}", code[1:], arabic, wide, f"{code[:3]} {code[3:]}", "", "\ud800" * 6)


def test_nothing_but_the_code_is_taken(clinic: Clinic, app: pyotp.TOTP) -> None:
    """A code has one spelling."""
    clinic.write(f"identity/mfa/method/totp/{clinic.method_id}", issuer="Clinic", max_validation_attempts=100)
    request_id = clinic.begin()
    for text in spellings(clinic.code(app)):
        with pytest.raises(SecondFactorFailed, match="MFA credentials not supplied or incorrect"):
            clinic.finish(request_id, text)
    assert clinic.finish(request_id, clinic.code(app)).auth


@pytest.mark.parametrize("periods", [-2, 2])
def test_codes_of_other_times_are_refused(clinic: Clinic, app: pyotp.TOTP, periods: int) -> None:
    """One period before and after is as far as a clock may be off."""
    with pytest.raises(SecondFactorFailed):
        clinic.finish(clinic.begin(), clinic.code(app, periods))


@pytest.mark.usefixtures("app")
def test_a_login_leaves_no_token_before_its_second_factor(clinic: Clinic) -> None:
    """Neither one to be used nor one that wraps the question."""
    before = clinic.rows_below(TOKENS)
    clinic.begin()
    clinic.begin(wrap=60)
    assert clinic.rows_below(TOKENS) == before


@pytest.mark.parametrize("again", [True, False])
def test_a_code_works_once(clinic: Clinic, app: pyotp.TOTP, again: bool) -> None:
    """For whichever request and worker, in one step or two."""
    other = clinic.worker()
    first, second = clinic.begin(), clinic.begin(worker=other)
    code = clinic.code(app)
    assert clinic.finish(first, code).auth
    with pytest.raises(SecondFactorFailed):
        clinic.finish(second, code, worker=other)
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, code), worker=clinic.worker())
    with pytest.raises(SecondFactorFailed):  # a step before a used one is used
        clinic.finish(second, clinic.code(app, -1))
    if again:
        clinic.clock.advance(30)
        assert clinic.finish(second, clinic.code(app)).auth


def test_a_request_is_finished_once(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Its id is worth nothing afterwards."""
    request_id = clinic.begin()
    assert clinic.finish(request_id, clinic.code(app)).auth
    clinic.clock.advance(30)
    with pytest.raises(InvalidRequest, match="invalid request ID"):
        clinic.finish(request_id, clinic.code(app))


@pytest.mark.parametrize("request_id", ["x", "../../core/mounts", "00000000-0000-0000-0000-000000000000", "\0", "\ud800", "a" * 5000])
def test_unknown_ids_are_refused(clinic: Clinic, app: pyotp.TOTP, request_id: str) -> None:
    """Whatever they look like."""
    with pytest.raises(InvalidRequest, match="invalid request ID"):
        clinic.finish(request_id, clinic.code(app))


def test_of_many_at_once_one_succeeds(clinic: Clinic, app: pyotp.TOTP) -> None:
    """The same right code by two workers, in both ways."""
    workers = (clinic.first, clinic.worker())
    requests = [clinic.begin() for _ in range(limits.MFA_PENDING_MAX)]
    code = clinic.code(app)

    def attempt(number: int) -> bool:
        worker = workers[number % 2]
        try:
            if number < len(requests):
                return clinic.finish(requests[number], code, worker=worker).auth is not None
            return clinic.login("ann", (clinic.method_id, code), worker=worker).auth is not None
        except PermissionDenied:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(20))) == 1


def test_wrong_codes_use_the_attempts_up(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Over requests and workers; then the right code gets the same words until the pause is over, and longer pauses follow."""
    other = clinic.worker()
    words = set()
    for number in range(5):
        with pytest.raises(SecondFactorFailed) as refused:
            clinic.finish(clinic.begin(), "000000", worker=(clinic.first, other)[number % 2])
        words.add(str(refused.value))
    request_id = clinic.begin()
    with pytest.raises(SecondFactorFailed) as refused:
        clinic.finish(request_id, clinic.code(app))
    assert words == {str(refused.value)}
    with pytest.raises(PermissionDenied):
        clinic.login("ANN", (clinic.method_id, clinic.code(app)))
    clinic.clock.advance(31)
    for _ in range(5):
        with pytest.raises(SecondFactorFailed):
            clinic.finish(request_id, "000000")
    clinic.clock.advance(31)
    with pytest.raises(SecondFactorFailed):
        clinic.finish(request_id, clinic.code(app))
    clinic.clock.advance(31)
    assert clinic.finish(request_id, clinic.code(app)).auth


def test_a_pause_has_an_end(clinic: Clinic, app: pyotp.TOTP) -> None:
    """However often somebody guessed."""
    for _ in range(12):
        for _ in range(5):
            with pytest.raises(PermissionDenied):
                clinic.login("ann", (clinic.method_id, "000000"))
        clinic.clock.advance(limits.MFA_BLOCK_SECONDS_MAX + 1)
    assert clinic.login("ann", (clinic.method_id, clinic.code(app))).auth


def test_many_guesses_at_once_are_no_more(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Five codes are judged; the right one behind them is not."""
    workers = (clinic.first, clinic.worker())
    right = clinic.code(app)

    def attempt(number: int) -> None:
        with pytest.raises(PermissionDenied):
            clinic.login("ann", (clinic.method_id, f"{number:06}"), worker=workers[number % 2])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, [number for number in range(30) if f"{number:06}" != right]))
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, right))


def test_success_gives_the_attempts_back(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Four slips, a good code, four slips."""
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(PermissionDenied):
                clinic.login("ann", (clinic.method_id, "000000"))
        assert clinic.login("ann", (clinic.method_id, clinic.code(app))).auth
        clinic.clock.advance(30)


def test_a_new_secret_gives_no_attempts_back(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Nor does the old one work."""
    for _ in range(5):
        with pytest.raises(PermissionDenied):
            clinic.login("ann", (clinic.method_id, "000000"))
    clinic.write("identity/mfa/method/totp/admin-destroy", method_id=clinic.method_id, entity_id=clinic.entity_id)
    renewed = clinic.enrol()
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, clinic.code(renewed)))
    clinic.clock.advance(31)
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, clinic.code(app)))
    assert clinic.login("ann", (clinic.method_id, clinic.code(renewed))).auth


def test_who_has_no_secret_cannot_come_in(clinic: Clinic, app: pyotp.TOTP) -> None:
    """An entity that has none, and somebody who is no entity."""
    with pytest.raises(SecondFactorFailed):
        clinic.finish(clinic.begin("ben"), clinic.code(app))
    with pytest.raises(PermissionDenied):
        clinic.login("nobody")


@pytest.mark.usefixtures("app")
def test_a_newcomer_who_is_refused_leaves_nothing(clinic: Clinic) -> None:
    """Each of such logins would have an entity of its own: their attempts would be rows without end."""
    before = set(clinic.rows.rows)
    for _ in range(3):
        with pytest.raises(PermissionDenied):
            clinic.login("newcomer", (clinic.method_id, "000000"))
    assert set(clinic.rows.rows) == before


def test_two_codes_for_one_method_count_for_none(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Each is a guess."""
    with pytest.raises(SecondFactorFailed):
        clinic.finish(clinic.begin(), clinic.code(app), "000000")
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, "000000"), (clinic.method_id, clinic.code(app)))


def test_all_enforcements_and_one_method_of_each(clinic: Clinic, app: pyotp.TOTP) -> None:
    """A second enforcement asks for another method as well; either of its two will do."""
    second, third = clinic.make_method(method_name="second"), clinic.make_method(method_name="third")
    other = clinic.enrol(second)
    clinic.write("identity/mfa/login-enforcement/more", mfa_method_ids=[second, third], identity_entity_ids=[clinic.entity_id])
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, clinic.code(app)))
    with pytest.raises(PermissionDenied):
        clinic.login("ann", ("second", clinic.code(other)))
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, clinic.code(app)), ("third", "000000"))
    assert clinic.login("ann", (clinic.method_id, clinic.code(app)), ("second", clinic.code(other)), ("nosuch", "1")).auth


def test_a_new_enforcement_holds_for_a_login_that_waits(clinic: Clinic, app: pyotp.TOTP) -> None:
    """And one that is gone asks for nothing, on every worker."""
    other = clinic.worker()
    request_id = clinic.begin(worker=other)
    second = clinic.make_method(method_name="second")
    clinic.write("identity/mfa/login-enforcement/more", mfa_method_ids=[second], identity_entity_ids=[clinic.entity_id])
    with pytest.raises(SecondFactorFailed, match="enforcement more"):
        clinic.finish(request_id, clinic.code(app), worker=other)
    for name in ("more", "all"):
        clinic.send(Operation.DELETE, f"identity/mfa/login-enforcement/{name}", {})
    auth = clinic.login(worker=other).auth
    assert auth is not None
    assert auth.client_token


def test_a_login_waits_for_a_time(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Then it is over, and its row is cleared away."""
    request_id = clinic.begin()
    clinic.clock.advance(limits.MFA_PENDING_SECONDS + 1)
    with pytest.raises(InvalidRequest, match="invalid request ID"):
        clinic.finish(request_id, clinic.code(app))
    assert clinic.rows_below("core/mfa/pending/")
    clinic.work()
    assert not clinic.rows_below("core/mfa/pending/")
    assert not clinic.rows_below("core/mfa/waiting/")


def test_few_logins_of_an_entity_wait(clinic: Clinic, app: pyotp.TOTP) -> None:
    """The oldest gives way; another entity's stay."""
    ben = clinic.begin("ben")
    requests = []
    for _ in range(limits.MFA_PENDING_MAX + 2):
        requests.append(clinic.begin())
        clinic.clock.advance(0.01)
    assert len(clinic.rows_below("core/mfa/pending/")) == limits.MFA_PENDING_MAX + 1
    with pytest.raises(InvalidRequest):
        clinic.finish(requests[1], clinic.code(app))
    assert clinic.finish(requests[2], clinic.code(app)).auth
    with pytest.raises(SecondFactorFailed):
        clinic.finish(ben, clinic.code(app))


@pytest.mark.usefixtures("app")
def test_no_id_of_a_waiting_login_is_stored(clinic: Clinic) -> None:
    """Its time is."""
    request_id = clinic.begin()
    assert request_id[14] == "7"
    assert not any(request_id.replace("-", "")[12:] in name.replace("-", "") for name in clinic.rows.rows)


@pytest.mark.parametrize("what", ["remount", "unmount"])
def test_a_login_ends_with_its_mount(clinic: Clinic, app: pyotp.TOTP, what: str) -> None:
    """It was to that mount at that place."""
    request_id = clinic.begin()
    if what == "remount":
        clinic.send(Operation.UPDATE, "sys/remount", {"from": "auth/main/door", "to": "auth/side"})
    else:
        clinic.send(Operation.DELETE, "sys/auth/main/door", {})
    with pytest.raises(PermissionDenied):
        clinic.finish(request_id, clinic.code(app))


def test_the_token_is_that_of_the_login(clinic: Clinic, app: pyotp.TOTP) -> None:
    """Its path, its metadata, its time, its wrapping."""
    auth = clinic.finish(clinic.begin(), clinic.code(app)).auth
    assert auth is not None
    assert (auth.entity_id, auth.metadata, auth.lease_duration_seconds) == (clinic.entity_id, {"name": "ann"}, 600)
    found = clinic.send(Operation.READ, "auth/token/lookup-self", {}, token=auth.client_token.reveal())
    assert found is not None
    assert found.data is not None
    assert found.data["path"] == "auth/main/door/login/ann"
    clinic.clock.advance(30)
    wrapped = clinic.finish(clinic.begin(wrap=60), clinic.code(app))
    assert wrapped.auth is None
    assert wrapped.wrap_info is not None
    assert wrapped.wrap_info.creation_path == "auth/main/door/login/ann"


def test_renewals_ask_for_no_second_factor(clinic: Clinic, app: pyotp.TOTP) -> None:
    """As in Vault: the token is the proof."""
    auth = clinic.finish(clinic.begin(), clinic.code(app)).auth
    assert auth is not None
    assert clinic.send(Operation.UPDATE, "auth/token/renew-self", {}, token=auth.client_token.reveal())


@pytest.mark.parametrize("payload", [{"m": "123456"}, {"m": [123456]}, {"m": [None]}, {"m": {"a": 1}}, {str(n): ["1"] for n in range(20)}])
@pytest.mark.usefixtures("app")
def test_a_payload_is_lists_of_texts(clinic: Clinic, payload: object) -> None:
    """A number has lost its leading zeros."""
    with pytest.raises(InvalidRequest, match="invalid mfa payload"):
        clinic.write("sys/mfa/validate", mfa_request_id=clinic.begin(), mfa_payload=payload)
