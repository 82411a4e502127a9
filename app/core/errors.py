"""Every error we raise on purpose.

AppError                      the API renders it as problem+json, a job keeps its code and sentence
├── Invalid              422  the request is understood and makes no sense
├── Unauthorized         401  no token, or not a live one
├── Forbidden            403  a live token that may not do this
├── NotFound             404  the thing does not exist, or is not yours to see
├── Conflict             409  its present state forbids the action
│   └── InFlight         409  the same Idempotency-Key is at work right now; Retry-After is sent
├── TooLarge             413  more bytes than MAX_UPLOAD_BYTES
├── Unsupported          415  not a kind of file that is read here
├── TooMany              429  over a limit; Retry-After is sent
├── OutOfSpace           507  the disk is full
└── Unavailable          503  a collaborator did not answer; Retry-After is sent, a job is retried
"""

from http import HTTPStatus


class AppError(Exception):
    """Something expected went wrong; `str()` is a sentence for people, never a secret.

    `code` names the situation for programs, `status` is its HTTP status, `retryable` says
    whether the same job may succeed when it is tried again, `retry_after` when.
    """

    code = "error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    retryable = False

    def __init__(
        self, detail: str, *, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code or type(self).code
        self.retry_after = retry_after


class Invalid(AppError):
    """The request is understood and makes no sense."""

    code = "invalid"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(
        self, detail: str, *, code: str | None = None, errors: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(detail, code=code)
        self.errors = errors


class Unauthorized(AppError):
    """No token was given, or it is unknown, expired or revoked."""

    code = "unauthorized"
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(AppError):
    """The token is live and may not do this."""

    code = "forbidden"
    status = HTTPStatus.FORBIDDEN


class NotFound(AppError):
    """The thing named in the request does not exist, or is not the caller's to see."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class Conflict(AppError):
    """The thing's present state forbids the action."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class InFlight(Conflict):
    """A request with the same Idempotency-Key is at work right now."""

    code = "in_flight"


class TooLarge(AppError):
    """The body is larger than MAX_UPLOAD_BYTES."""

    code = "too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unsupported(AppError):
    """Not a kind of file that is read here."""

    code = "unsupported"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class TooMany(AppError):
    """A limit is reached; the same request may succeed after `retry_after` seconds."""

    code = "too_many"
    status = HTTPStatus.TOO_MANY_REQUESTS


class OutOfSpace(AppError):
    """There is no room left to store what was sent; nothing of it was kept."""

    code = "out_of_space"
    status = HTTPStatus.INSUFFICIENT_STORAGE
    retryable = True


class Unavailable(AppError):
    """A collaborator (database, Redis, a model) did not answer; the same call may succeed later."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True
