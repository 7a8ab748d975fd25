"""Errors of requests and answers, under the one root of `ingestion.errors` (drawn there).

PlumblineError
├── AccessDenied
│   ├── Unauthenticated      no key, or not a valid one
│   └── Forbidden            the key lacks the scope that the call needs
├── RequestTooLarge
├── Conflict (ingestion.errors)
│   ├── IdempotencyKeyReused   that Idempotency-Key belongs to another request
│   └── RequestInProgress      the first request with that Idempotency-Key still runs (retryable)
├── AuditUnavailable         the audit log can't be written, so nothing was changed (retryable)
└── ModelFailure             the language model did not deliver; an answer degrades, a request never fails
"""

from __future__ import annotations

from enum import StrEnum

from ingestion.errors import Conflict, PlumblineError


class AccessDenied(PlumblineError):
    code = "access_denied"


class Unauthenticated(AccessDenied):
    code = "unauthenticated"


class Forbidden(AccessDenied):
    code = "forbidden"


class RequestTooLarge(PlumblineError):
    code = "request_too_large"


class IdempotencyKeyReused(Conflict):
    code = "idempotency_key_reused"


class RequestInProgress(Conflict):
    code = "request_in_progress"
    retryable = True


class AuditUnavailable(PlumblineError):
    code = "audit_unavailable"
    retryable = True


class ModelFailureReason(StrEnum):
    """Why an answer is degraded. Stable: shown in `degraded.reason` and counted in the metrics."""

    NOT_CONFIGURED = "model_not_configured"
    UNREACHABLE = "model_unreachable"
    TIMEOUT = "model_timeout"
    RATE_LIMITED = "model_rate_limited"
    BUSY = "model_busy"
    REJECTED = "model_rejected_request"
    SERVER_ERROR = "model_server_error"
    EMPTY = "model_empty_answer"
    UNCITED = "model_uncited_answer"
    MALFORMED = "model_malformed_answer"
    DECLINED = "model_declined"
    WRONG_LANGUAGE = "model_wrong_language"
    UNSUPPORTED = "model_unsupported_answer"
    INTERRUPTED = "model_interrupted"
    TRUNCATED = "model_output_limit"


class ModelFailure(PlumblineError):
    """The language model did not deliver; `reason` says how, `retry_after_s` what the endpoint asked to wait."""

    code = "model_failure"

    def __init__(
        self,
        reason: ModelFailureReason,
        detail: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.may_retry = retryable
        self.retry_after_s = retry_after_s
