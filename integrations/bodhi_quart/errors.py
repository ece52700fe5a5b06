"""What a failed verb answers in a host's own views."""

from quart import Response, jsonify

from bodhi_asgi import BodhiError


async def answer_error(error: BodhiError) -> Response:
    """An error handler for a host whose own views call the verbs.

    ``app.register_error_handler(BodhiError, answer_error)`` answers with the error's own status instead of a 500.
    """
    answer = jsonify({"error": {"message": error.message, "code": error.code, "param": error.param}})
    answer.status_code = error.status
    if error.retry_after_s is not None:
        answer.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    if error.status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    return answer
