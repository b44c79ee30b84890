"""What one request to the service may ask for. Torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Chosen so that a full house stays below a gigabyte: photos wait on the disk, one request's are in memory."""

    photos: int = 64  # in one request: two batches of the predictor
    photo_bytes: int = 50_000_000  # the largest JPEGs of phones have 30 million
    body_bytes: int = 200_000_000
    requests: int = 16  # being sent, waiting and being computed together; more are told to come again
    at_once: int = 2  # computed at the same time: one reads its photos while the network looks at the other's
    upload_seconds: float = 60
    answer_seconds: float = 120  # waiting included
