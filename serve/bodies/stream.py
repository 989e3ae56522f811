"""A request's body as bytes, bounded."""

from typing import Protocol

from serve.errors import RequestError


class Body(Protocol):
    """A stream of a request's bytes; `read` waits until it has as many as asked for, or the end."""

    def read(self, size: int, /) -> bytes: ...


def read_body(stream: Body, length: int | None, limit: int) -> bytes:
    """The request body, whose announced `length` is None when it comes in chunks.

    Raises RequestError: 413 above `limit` bytes, 400 when it ends early, 408 when it stops coming.
    """
    if length is not None and length > limit:
        raise _too_large(length, limit)
    try:
        body = stream.read(limit + 1 if length is None else length)
    except (TimeoutError, BlockingIOError) as error:
        raise RequestError(408, "the request body stopped coming; send it again") from error
    except Exception as error:
        # The server's parser has exceptions of its own for malformed chunks; the body is at fault.
        raise RequestError(400, "the request body ended early, or its chunks are malformed") from error
    if len(body) > limit:
        raise _too_large(length, limit)
    if length is not None and len(body) < length:
        raise RequestError(400, f"the request body ended after {len(body)} of {length} bytes; send it again")
    return body


def _too_large(length: int | None, limit: int) -> RequestError:
    return RequestError(
        413,
        f"the request body is larger than the limit of {limit} bytes"
        + (f" (it has {length})" if length is not None else "")
        + "; send the image smaller, or fewer at once, or raise SAGEMAKER_MAX_PAYLOAD_IN_MB",
    )
