"""Requests to second factors: methods, secrets, enforcements, and what becomes of logins that need them."""

from tests.compat.differential.case import STRICTER, c, junk

NOBODY = "00000000-0000-0000-0000-000000000000"
METHOD = "identity/mfa/method"
RULE = "identity/mfa/login-enforcement"
LOGIN = "auth/coded/login/ann"
PASSWORD = {"password": "right"}

KINDS = "only TOTP is offered by us"
WEAK = "secrets below 128 bits, and pictures without a bound, are refused by us"
COLON = "an app takes what stands before a colon for the issuer"
UNKNOWN = "what is not there cannot be changed: told by us, not passed over"
NAMES = "a header gives names as `name:code,name:code`, so these cannot be in one"
TARGETS = "an enforcement without a target is refused by us however its targets are left out"
WORDS = "one text for every refusal of a code"
ANY_ID = "an id is looked up whatever it looks like"
# The reference lists in no order.
UNORDERED = ("data.keys",)

METHODS = (
    c("LIST", METHOD),
    c("LIST", f"{METHOD}/totp"),
    c("LIST", f"{METHOD}/okta"),
    c("LIST", f"{METHOD}/nosuch"),
    c("LIST", METHOD, token=None),
    *(c("POST", f"{METHOD}/{kind}", {}, differs=KINDS, allowed=(400,)) for kind in ("okta", "duo", "pingid")),
    c("POST", f"{METHOD}/nosuch", {}, differs="a path with one name is that of a method", allowed=(405,)),
    c("POST", f"{METHOD}/totp", {}),
    c("POST", f"{METHOD}/totp", {"issuer": ""}),
    *(
        junk("POST", f"{METHOD}/totp", {"issuer": "i", name: value}, value)
        for name, values in {
            "period": (0, -1, "x", 1.5, True),
            "key_size": (0, -5, "x"),
            "algorithm": ("MD5", "sha1", ""),
            "digits": (7, 0, "x"),
            "skew": (2, -1, "x"),
            "max_validation_attempts": (-1, "x"),
        }.items()
        for value in values
    ),
    c("POST", f"{METHOD}/totp", {"issuer": "i", "key_size": 5}, differs=WEAK, allowed=(400,)),
    c("POST", f"{METHOD}/totp", {"issuer": "i", "qr_size": -1}, differs=WEAK, allowed=(400,)),
    c("POST", f"{METHOD}/totp", {"issuer": "a:b"}, differs=COLON, allowed=(400,)),
    c("POST", f"{METHOD}/totp", {"issuer": "i", "method_name": "a/b"}, differs=NAMES, allowed=(400,)),
    c("POST", f"{METHOD}/totp", {"issuer": ["a"]}, differs=STRICTER, allowed=(400,)),
    c("POST", f"{METHOD}/totp", {"issuer": "Clinic", "method_name": "phone", "nosuch": 1}, save={"phone": "data.method_id"}),
    c("GET", f"{METHOD}/totp/<<phone>>"),
    c("GET", f"{METHOD}/<<phone>>"),
    c("POST", f"{METHOD}/totp", {"issuer": "Other", "method_name": "phone", "digits": 8, "period": "1m", "max_validation_attempts": 0}),
    c("GET", f"{METHOD}/totp/<<phone>>"),
    c("POST", f"{METHOD}/totp/<<phone>>", {"issuer": "Clinic"}),
    c("GET", f"{METHOD}/totp/<<phone>>"),
    c("POST", f"{METHOD}/totp/<<phone>>", {}),
    c("POST", f"{METHOD}/totp", {"issuer": "i", "method_name": "card"}, save={"card": "data.method_id"}),
    c("POST", f"{METHOD}/totp/<<card>>", {"issuer": "i", "method_name": "phone"}),
    c("GET", f"{METHOD}/okta/{NOBODY}"),
    c("DELETE", f"{METHOD}/okta/{NOBODY}"),
    c("GET", f"{METHOD}/totp/{NOBODY}"),
    c("GET", f"{METHOD}/{NOBODY}"),
    c("DELETE", f"{METHOD}/totp/{NOBODY}"),
    c("POST", f"{METHOD}/totp/{NOBODY}", {"issuer": "i"}, differs=UNKNOWN, allowed=(404,)),
    c("GET", f"{METHOD}/totp/x", differs=ANY_ID, allowed=(404,)),
    c("PUT", f"{METHOD}/<<phone>>", {}),
    c("DELETE", f"{METHOD}/<<phone>>"),
    c("DELETE", f"{METHOD}/totp/<<card>>"),
    c("GET", f"{METHOD}/totp/<<card>>"),
)

ENFORCEMENTS = (
    c("LIST", RULE),
    c("GET", RULE),
    c("GET", f"{RULE}/x"),
    c("GET", f"{RULE}/x", token=None),
    c("DELETE", f"{RULE}/x"),
    c("POST", f"{RULE}/x", {}),
    c("POST", f"{RULE}/x", {"mfa_method_ids": []}, differs="no method is no method", allowed=(400,)),
    *(c("POST", f"{RULE}/x", {"mfa_method_ids": [name]}) for name in (NOBODY, "abc", "<<phone>>")),
    c("POST", f"{RULE}/x", {"mfa_method_ids": ["<<phone>>"], "auth_method_types": []}, differs=TARGETS, allowed=(400,)),
    *(
        c("POST", f"{RULE}/x", {"mfa_method_ids": ["<<phone>>"], name: [value]})
        for name, value in (
            ("auth_method_types", "nosuch"),
            ("auth_method_types", "token,userpass"),
            ("auth_method_accessors", "nosuch"),
            ("identity_group_ids", "nosuch"),
            ("identity_group_ids", NOBODY),
            ("identity_entity_ids", NOBODY),
        )
    ),
    c("POST", "sys/auth/coded", {"type": "userpass"}),
    c("GET", "sys/auth/coded", save={"accessor": "data.accessor"}, ignore=("",)),
    c("POST", "auth/coded/users/ann", PASSWORD),
    c("POST", LOGIN, PASSWORD, token=None, save={"ann": "auth.client_token", "entity": "auth.entity_id"}, ignore=("",)),
    c("POST", f"{RULE}/x", {"mfa_method_ids": "<<phone>>", "auth_method_types": "userpass", "nosuch": 1}),
    c("GET", f"{RULE}/x"),
    c("POST", f"{RULE}/x", {"mfa_method_ids": ["<<phone>>"], "identity_entity_ids": ["<<entity>>"]}),
    c("GET", f"{RULE}/x"),
    c("POST", f"{RULE}/x", {"auth_method_types": ["userpass"]}),
    c("LIST", RULE, ignore=UNORDERED),
    c("LIST", f"{RULE}/x"),
    c("POST", f"{RULE}/a%20b", {"mfa_method_ids": ["<<phone>>"], "auth_method_types": ["userpass"]}, differs=NAMES, allowed=(400,)),
    c("DELETE", f"{METHOD}/totp/<<phone>>"),
    c("DELETE", f"{RULE}/x"),
    c("GET", f"{RULE}/x"),
)

SECRETS = (
    *(
        c("POST", f"{METHOD}/totp/{name}", fields)
        for name in ("generate", "admin-generate", "admin-destroy")
        for fields in ({}, {"method_id": "<<phone>>"})
    ),
    c("POST", f"{METHOD}/totp/generate", {"method_id": "<<phone>>"}, token=None),
    c("POST", f"{METHOD}/totp/generate", {"method_id": "<<phone>>"}, token="ann"),
    c("GET", f"{METHOD}/totp/generate", differs=ANY_ID),
    c("POST", f"{METHOD}/totp/admin-generate", {"method_id": NOBODY, "entity_id": "<<entity>>"}),
    c("POST", f"{METHOD}/totp/admin-destroy", {"method_id": NOBODY, "entity_id": "<<entity>>"}),
    *(c("POST", f"{METHOD}/totp/{name}", {"method_id": "<<phone>>", "entity_id": NOBODY}) for name in ("admin-generate", "admin-destroy")),
    c(
        "POST",
        f"{METHOD}/totp/admin-generate",
        {"method_id": "<<phone>>", "entity_id": "<<entity>>"},
        ignore=("data.barcode", "data.url"),
    ),
    c("POST", f"{METHOD}/totp/admin-generate", {"method_id": "<<phone>>", "entity_id": "<<entity>>"}),
    c("POST", f"{METHOD}/totp/admin-destroy", {"method_id": "<<phone>>", "entity_id": "<<entity>>"}),
    c("POST", f"{METHOD}/totp/admin-destroy", {"method_id": "<<phone>>", "entity_id": "<<entity>>"}),
)

VALIDATE = "sys/mfa/validate"
ID = {"mfa_request_id": "<<request>>"}
LOGINS = (
    c("POST", f"{METHOD}/totp/admin-generate", {"method_id": "<<phone>>", "entity_id": "<<entity>>"}, ignore=("data",)),
    c("POST", f"{RULE}/coded", {"mfa_method_ids": ["<<phone>>"], "auth_method_accessors": ["<<accessor>>"]}),
    c("POST", LOGIN, PASSWORD, token=None, save={"request": "auth.mfa_requirement.mfa_request_id"}),
    c("POST", LOGIN, {"password": "wrong"}, token=None),
    c("POST", VALIDATE, {}, token=None),
    c("POST", VALIDATE, ID, token=None, differs=WORDS),
    c("POST", VALIDATE, ID | {"mfa_payload": {}}, token=None, differs=WORDS),
    c("POST", VALIDATE, ID | {"mfa_payload": {"<<phone>>": []}}, token=None, differs=WORDS),
    c("POST", VALIDATE, ID | {"mfa_payload": {NOBODY: ["000000"]}}, token=None, differs=WORDS),
    c("POST", VALIDATE, ID | {"mfa_payload": "x"}, token=None),
    c("POST", VALIDATE, ID | {"mfa_payload": {"<<phone>>": "000000"}}, token=None),
    c("POST", VALIDATE, ID | {"mfa_payload": {"phone": ["000000"]}}, token=None),
    c("POST", VALIDATE, ID | {"mfa_payload": {"phone": ["passcode=000000"]}}, token=None),
    c("POST", VALIDATE, ID | {"mfa_payload": {"phone": ["1", "2"]}}, token=None, differs=WORDS),
    c("POST", VALIDATE, {"mfa_request_id": NOBODY, "mfa_payload": {"phone": ["000000"]}}, token=None),
    c("GET", VALIDATE, token=None, differs="strangers learn of no path by its operations", allowed=(403,)),
    *(
        c("POST", LOGIN, PASSWORD, token=None, headers={"X-Vault-MFA": text})
        for text in ("phone", "phone:000000", "nosuch:1", ":1", "phone:", "phone:x:y")
    ),
    c("POST", LOGIN, {"password": "wrong"}, token=None, headers={"X-Vault-MFA": "phone:000000"}),
    c("DELETE", f"{RULE}/coded"),
    c("POST", LOGIN, PASSWORD, token=None, headers={"X-Vault-MFA": "phone:000000"}),
    c("DELETE", f"{METHOD}/totp/<<phone>>"),
    c("DELETE", "sys/auth/coded", ignore=("",)),
)

TABLE = (*METHODS, *ENFORCEMENTS, *SECRETS, *LOGINS)
