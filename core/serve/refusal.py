"""The service's answers to what it can't do: always what is wrong and what to do next. Torch-free."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from core.errors import CoreError


class Refusal(CoreError):
    """A request that isn't answered; ``status`` is HTTP's."""

    def __init__(self, status: int, key: str, /, headers: Mapping[str, str] | None = None, **values: object) -> None:
        super().__init__(f"serve.refusal.{key}", **values)
        self.status = status
        self.headers = dict(headers or {})


def refused(refusal: Refusal) -> JSONResponse:
    content = {"error": refusal.message, "hint": refusal.hint}
    return JSONResponse(content, refusal.status, refusal.headers)
