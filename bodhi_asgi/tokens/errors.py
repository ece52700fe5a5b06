"""What can be wrong with a token. None of these says whether a token exists before its secret has been proven."""

from bodhi_asgi.errors import Forbidden, NotFound, Unauthenticated


class TokenInvalid(Unauthenticated):
    """Not a token of ours, or its secret is wrong."""

    code = "auth_error-invalid_token"


class TokenInactive(Unauthenticated):
    """The secret is right, and the token is switched off or revoked."""

    code = "auth_error-token_inactive"


class TokenExpired(Unauthenticated):
    """The secret is right, and the token's term is over."""

    code = "token_error-expired"


class TokenNotFound(NotFound):
    """No such token among the caller's own."""

    code = "token_not_found"


class PrivilegeEscalation(Forbidden):
    """A token cannot be given more than its creator has."""

    code = "token_route_error-privilege_escalation"


class TokensNotForTokens(Forbidden):
    """An API token never manages tokens."""

    code = "token_route_error-access_token_missing"
