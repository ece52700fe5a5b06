"""Why somebody is not let in."""

from bodhi_asgi.errors import Broken, Busy, Forbidden, Unauthenticated


class CredentialsMissing(Unauthenticated):
    """Nothing in the request says who asks."""

    code = "api_auth_error-missing_auth"


class IdentityNotConfigured(CredentialsMissing):
    """There is no API token, and the server was given no ``identity=`` to ask for the host's user."""


class CredentialsAmbiguous(Unauthenticated):
    """Two credentials that differ."""

    code = "auth_error-ambiguous_credentials"


class CrossSiteRefused(Forbidden):
    """A browser sent the host's session along with a request from another site."""

    code = "auth_error-cross_site"


class IdentityFailed(Broken):
    """The host's identity callback raised, or answered with something that is no caller."""

    code = "identity_failed"


class TooManyFailures(Busy):
    """One source presented too many invalid credentials."""

    code = "auth_error-too_many_failures"
