"""What can be wrong with a choice among the files of a repository."""

from bodhi_asgi.errors import Invalid, NotFound


class QuantisationMissing(NotFound):
    """No file of the repository has the quantisation that is wanted, or it has no models at all."""

    code = "quantisation_not_found"


class QuantisationUnclear(Invalid):
    """Several models of the repository answer to the same quantisation; a file must be named."""

    code = "quantisation_ambiguous"


class NothingFits(Invalid):
    """The smallest quantisation of the repository, with its context, needs more memory than there is."""

    code = "no_quantisation_fits"
