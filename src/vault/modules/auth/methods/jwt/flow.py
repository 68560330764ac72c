"""The OIDC code flow: `oidc/auth_url` sends a person to the provider, `oidc/callback` lets it in with what it brings back.

All of it is work outside, done before the transaction. A state is taken away in a commit of its own before its code is redeemed, so of
many callbacks with the same state one asks the provider, whatever workers they reach.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from vault.errors import InvalidRequest, UnsupportedOperation
from vault.logical.args import NAME, SECRET, STRING, arg
from vault.logical.context import Context
from vault.logical.mount import Mount
from vault.logical.response import Response
from vault.modules.auth.methods.jwt.claims import DEFAULT_SKEW_SECONDS, list_audiences, read_time
from vault.modules.auth.methods.jwt.config import FORM_POST, Config, require_config
from vault.modules.auth.methods.jwt.login import Recognised, recognise, require_address, require_role
from vault.modules.auth.methods.jwt.redirect import is_allowed
from vault.modules.auth.methods.jwt.role import JWT, Role, find_role
from vault.modules.auth.methods.jwt.signed import Verified, choose_algorithms, has_hashed, verify
from vault.modules.auth.methods.jwt.source import Provider, Sources
from vault.modules.auth.methods.jwt.state import Handed, State, States, make_state, spend
from vault.modules.auth.outbound import Unreachable
from vault.modules.auth.outbound_session import bind
from vault.secret import Secret
from vault.storage.view import View

Commit = Callable[[Mount, Callable[[View], None]], None]

_FAILED = "Vault login failed. "
_UNVERIFIED = "Token verification failed. "
_RS256 = frozenset({"RS256"})
_ERROR = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_DESCRIPTION = re.compile(r"[A-Za-z0-9_.,:;()/ -]{1,200}", re.ASCII)
# The state is base64, the mount's path went through our router: nothing of a stranger's text is in this page.
_ONWARD = '<!DOCTYPE html><html><head><meta http-equiv="refresh" content="0; url={url}"></head><body>Logging in.</body></html>'
_PATH = re.compile(r"[A-Za-z0-9_./-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthUrlArgs:
    """Who asks for a login page."""

    role: str = arg(NAME, "Role of this login.", default="")
    redirect_uri: str = arg(STRING, "Where to return to.", default="")
    client_nonce: Secret = arg(SECRET, "Must be shown again at the callback.", default=Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackArgs:
    """What the browser brings back from the provider."""

    state: Secret = arg(SECRET, "The state of the login page's URL.", default=Secret(""), query=True)
    code: Secret = arg(SECRET, "The provider's code.", default=Secret(""), query=True)
    id_token: Secret = arg(SECRET, "The provider's ID token, by form.", default=Secret(""))
    client_nonce: Secret = arg(SECRET, "As when the login page was asked for.", default=Secret(""), query=True)
    error: str = arg(STRING, "The provider's refusal.", default="", query=True)
    error_description: str = arg(STRING, "Its reason.", default="", query=True)


class Flow:
    """Logins of people through the provider's web page."""

    def __init__(self, sources: Sources, states: States, commit: Commit) -> None:
        self._sources = sources
        self._states = states
        self._commit = commit

    # -- the way out ---------------------------------------------------------------------------------------------------

    def prepare_url(self, context: Context, args: AuthUrlArgs) -> str:
        """Return the URL of the login page; empty where role or redirect URI do not fit, without a reason: strangers ask."""
        config = require_config(context.storage)
        if not config.has_flow:
            raise InvalidRequest("OIDC login is not configured for this mount")
        name, role = require_role(context, config, args.role)
        if not args.redirect_uri:
            raise InvalidRequest("missing redirect_uri")
        if role.role_type == JWT or not is_allowed(args.redirect_uri, role.allowed_redirect_uris):
            return ""
        uri = args.redirect_uri
        if config.oidc_response_mode == FORM_POST:  # the web client names its own page, which cannot take a form
            uri = uri.replace("ui/vault", "v1", 1)
        try:
            provider = self._sources.find_provider(config)
        except Unreachable:
            return ""
        state = make_state(role=name, redirect_uri=uri, client_nonce=args.client_nonce.reveal(), now=context.now)
        return _make_url(config, role, provider, state, self._states.seal(context.mount, state))

    def answer_url(self, context: Context, _: AuthUrlArgs) -> Response:
        """Answer the URL."""
        return Response(data={"auth_url": context.prepared})

    # -- the way back --------------------------------------------------------------------------------------------------

    def forward_form(self, context: Context, args: CallbackArgs) -> Response:
        """Hand what the provider sent by form on to the web client's page, sealed; nobody is let in by a form alone."""
        config = require_config(context.storage, f"{_FAILED}Could not load configuration.")
        if config.oidc_response_mode != FORM_POST:
            raise UnsupportedOperation
        state = self._states.open(context.mount, args.state.reveal(), context.now)
        handed = Handed(id=state.id, code=args.code.reveal(), id_token=args.id_token.reveal())
        query = {"code": self._states.seal(context.mount, handed), "state": args.state.reveal()}
        path = context.mount.path
        if args.error or args.error_description or not _PATH.fullmatch(path):
            raise InvalidRequest(_FAILED + _describe(args))
        page = _ONWARD.format(url=f"/ui/vault/{path}oidc/callback?{urlencode(query).replace('&', '&amp;')}")
        return Response(body=page.encode(), content_type="text/html; charset=utf-8")

    def prepare_callback(self, context: Context, args: CallbackArgs) -> Recognised:
        """Redeem what came back; raises InvalidRequest. The state is spent from the first look at it, whatever comes of it."""
        config = require_config(context.storage, f"{_FAILED}Could not load configuration")
        state = self._states.open(context.mount, args.state.reveal(), context.now)
        self._commit(context.mount, lambda storage: spend(storage, state, context.now))
        role = find_role(context.storage, state.role)
        if role is None or role.role_type == JWT:
            raise InvalidRequest(f"{_FAILED}Role could not be found")
        if args.error or args.error_description:
            raise InvalidRequest(_FAILED + _describe(args))
        if not state.is_of(args.client_nonce.reveal()):
            raise InvalidRequest("invalid client_nonce")
        require_address(context, role)
        handed = self._states.find_handed(context.mount, args.code.reveal()) or Handed(id=state.id, code=args.code.reveal())
        if handed.id != state.id or not (handed.code or handed.id_token):
            raise InvalidRequest(f"{_FAILED}No code or id_token received.")
        claims = self._redeem(config, role, state, handed, context.now)
        if role.bound_subject and claims.get("sub") != role.bound_subject:
            raise InvalidRequest(f"{_FAILED}sub claim does not match bound subject")
        return Recognised(config=config, role_name=state.role, role=role, claims=claims)

    def answer_callback(self, context: Context, _: CallbackArgs) -> Response:
        """Let the person in."""
        try:
            return Response(login=recognise(context, context.prepared))
        except InvalidRequest as refusal:
            raise InvalidRequest(f"{_FAILED}{refusal}") from None

    def _redeem(self, config: Config, role: Role, state: State, handed: Handed, now: float) -> Mapping[str, Any]:
        """Return what the provider says of the person."""
        try:
            provider = self._sources.find_provider(config)
            if not handed.code:
                return self._verify(config, role, state, handed.id_token, now).claims
            tokens = _exchange(config, provider, state, handed.code)
        except Unreachable as failure:
            raise InvalidRequest(f"{_FAILED}Error exchanging oidc code: {failure}.") from None
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise InvalidRequest(f"{_FAILED}Error exchanging oidc code: the provider sent no tokens.")
        verified = self._verify(config, role, state, id_token, now)
        if not has_hashed(verified, access_token):
            raise InvalidRequest(f"{_UNVERIFIED}the ID token belongs to another access token (at_hash)")
        return {**verified.claims, **self._ask_more(config, provider, access_token, verified.claims["sub"])}

    def _ask_more(self, config: Config, provider: Provider, access_token: str, subject: str) -> Mapping[str, Any]:
        """Return what the provider tells besides; nothing where it does not, as in Vault: roles that need it refuse for want of it."""
        if not provider.userinfo_endpoint:
            return {}
        try:
            found = self._sources.fetch_claims(config, provider, access_token)
        except Unreachable:
            return {}
        return found if found.get("sub") == subject else {}  # somebody else's claims (OIDC core 5.3.2)

    def _verify(self, config: Config, role: Role, state: State, id_token: str, now: float) -> Verified:
        algorithms = choose_algorithms(config.jwt_supported_algs, _RS256)
        try:
            verified = verify(id_token, lambda key_id: self._sources.list_keys(config, key_id), algorithms)
            check_id_token(verified.claims, config, role, state, now)
        except InvalidRequest as refusal:
            raise InvalidRequest(_UNVERIFIED + str(refusal).removeprefix("error validating token: ")) from None
        return verified


def check_id_token(claims: Mapping[str, Any], config: Config, role: Role, state: State, now: float) -> None:
    """Refuse an ID token that is not this provider's answer to this login; raises InvalidRequest."""
    audiences = list_audiences(claims)
    if claims.get("iss") != config.oidc_discovery_url:
        raise InvalidRequest("invalid issuer (iss) claim")
    if config.oidc_client_id not in audiences or (role.bound_audiences and not {*role.bound_audiences} & {*audiences}):
        raise InvalidRequest("invalid audience (aud) claim")
    if claims.get("azp", config.oidc_client_id) != config.oidc_client_id or (len(audiences) > 1 and "azp" not in claims):
        raise InvalidRequest("invalid authorized party (azp) claim")
    if claims.get("nonce") != state.nonce:
        raise InvalidRequest("invalid nonce")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise InvalidRequest("invalid subject (sub) claim")
    ends, begins, issued = (read_time(claims, name) for name in ("exp", "nbf", "iat"))
    if not ends or now - DEFAULT_SKEW_SECONDS > ends:
        raise InvalidRequest("invalid expiration time (exp) claim")
    if max(begins, issued) > now + DEFAULT_SKEW_SECONDS:
        raise InvalidRequest("the token is not yet valid")
    if role.max_age and read_time(claims, "auth_time") + role.max_age + DEFAULT_SKEW_SECONDS < state.begun_at:
        raise InvalidRequest("the person proved who it is too long ago, or at no known time (auth_time)")


def _session(config: Config, provider: Provider, redirect_uri: str) -> OAuth2Session:
    methods = provider.auth_methods
    posts = "client_secret_post" in methods and "client_secret_basic" not in methods
    session = OAuth2Session(
        config.oidc_client_id,
        config.oidc_client_secret,
        token_endpoint_auth_method="client_secret_post" if posts else "client_secret_basic",
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
    )
    bind(session, config.oidc_discovery_ca_pem)
    return session


def _make_url(config: Config, role: Role, provider: Provider, state: State, sealed: str) -> str:
    more: dict[str, Any] = {"nonce": state.nonce, "scope": " ".join(dict.fromkeys(("openid", *role.oidc_scopes)))}
    if config.oidc_response_mode:
        more["response_mode"] = config.oidc_response_mode
    if role.max_age:
        more["max_age"] = role.max_age
    if config.wants_id_token:
        more["response_type"] = "id_token"
    if not provider.authorization_endpoint or not provider.token_endpoint:
        return ""
    with _session(config, provider, state.redirect_uri) as session:
        url, _ = session.create_authorization_url(provider.authorization_endpoint, state=sealed, code_verifier=state.verifier, **more)
    return str(url)


def _exchange(config: Config, provider: Provider, state: State, code: str) -> Mapping[str, Any]:
    """Return the tokens for a code; raises Unreachable."""
    with _session(config, provider, state.redirect_uri) as session:
        try:
            tokens: Mapping[str, Any] = session.fetch_token(
                provider.token_endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=state.verifier,
                allow_redirects=False,
            )
        except AuthlibBaseError as refusal:
            name = str(refusal.error)
            raise Unreachable(f'"{name if _ERROR.fullmatch(name) else "refused"}"') from None
        except ValueError:
            raise Unreachable("the answer is not a JSON object") from None
        except OSError:  # also what the HTTP library raises
            raise Unreachable("the server does not answer as it should") from None
    return tokens


def _describe(args: CallbackArgs) -> str:
    """Return a provider's refusal as far as it is plain words: it came through the browser, and anybody can write such a link."""
    error = args.error if _ERROR.fullmatch(args.error) else ""
    text = args.error_description if _DESCRIPTION.fullmatch(args.error_description) else ""
    return ": ".join(filter(None, (error, text))) or "The provider refused."
