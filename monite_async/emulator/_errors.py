"""The error shapes of the wire, raised inside the emulator and turned into answers at its edge."""

from __future__ import annotations

from collections.abc import Mapping

from monite_async.emulator._message import Response, json_response

__all__ = ["RefusedError", "detail", "gateway_refusal", "invalid", "missing_version", "refusal"]


class RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer."""
        answer = json_response(self.status, self.body)
        answer.headers.update(self.headers)
        return answer


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> RefusedError:
    """Return an error in the API's own shape: ``{"error": {"message": ...}}``."""
    return RefusedError(status, {"error": {"message": message}}, headers)


def missing_version() -> RefusedError:
    """Return the one documented error with a type in it."""
    message = "Missing the x-monite-version HTTP header"
    return RefusedError(400, {"error": {"type": "missing_api_version", "message": message}})


def gateway_refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> RefusedError:
    """Return an error as the gateway in front of the API words it: ``{"message": ...}``."""
    return RefusedError(status, {"message": message}, headers)


def detail(location: tuple[str | int, ...], message: str, kind: str) -> dict[str, object]:
    """Return one entry of a FastAPI validation error."""
    return {"loc": list(location), "msg": message, "type": kind}


def invalid(*details: dict[str, object], status: int = 422) -> RefusedError:
    """Return a FastAPI validation error with these entries."""
    return RefusedError(status, {"detail": list(details)})
