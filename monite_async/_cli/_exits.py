"""How a command ends: its exit status, and one clear line for each failure."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit", "Stop", "failure_of"]


class Exit(IntEnum):
    """Exit statuses; ``docs/cli.md`` lists them."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    AUTHENTICATION = 4
    NETWORK = 5
    STORE = 6
    INTERRUPTED = 130


class Stop(Exception):  # noqa: N818 - no error of the library: how a command ends early
    """A command that cannot go on.

    Args:
        code: The exit status.
        message: One line that says what was wrong and what to do, without a secret in it.
    """

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


def failure_of(error: Exception) -> tuple[Exit, str, dict[str, object]]:
    """Return the exit status for an error, what to say of it, and its facts for programs.

    Only errors that are known to hold no secret are quoted.
    """
    from monite_async._errors import (
        AuthenticationError,
        ConfigurationError,
        MoniteError,
        TransportError,
        UnauthorizedError,
        UnprocessableEntityError,
    )
    from monite_async_stores import StoreError

    kind = type(error).__name__
    if isinstance(error, StoreError):
        return Exit.STORE, f"the token store: {error}", {"kind": kind}
    if not isinstance(error, MoniteError):
        return (
            Exit.FAILURE,
            f"this should not have happened: {kind}; please report it, with the command",
            {"kind": kind},
        )
    codes: list[tuple[type[MoniteError], Exit]] = [
        (ConfigurationError, Exit.CONFIGURATION),
        (AuthenticationError, Exit.AUTHENTICATION),
        (UnauthorizedError, Exit.AUTHENTICATION),
        (TransportError, Exit.NETWORK),
    ]
    facts: dict[str, object] = {"kind": kind, "status": error.status, "request_id": error.request_id}
    if isinstance(error, UnprocessableEntityError) and error.errors:
        facts["errors"] = error.errors
    code = next((code for of, code in codes if isinstance(error, of)), Exit.FAILURE)
    return code, str(error), {name: value for name, value in facts.items() if value is not None}
