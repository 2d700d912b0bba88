"""Endpoints: the table by which requests are routed, counted and documented.

A new one is a row here: its route, its fields, its counters and its place in the OpenAPI document follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mess_core.serve import answering
from mess_core.serve.answering import Answering
from mess_core.serve.fields import EMBEDDED, QUESTION, RECOMMENDED, TAGGED, Field


@dataclass(frozen=True)
class Endpoint:
    """One address.

    answers : what it does, in a thread; None of those that the service itself answers at once
    takes_file : whether an audio file can be its body; `needs_file` whether one must
    is_open : whether it is answered without a token
    keys : of its document, at the top; others may be added
    media_type : of what it answers
    """

    name: str
    path: str
    words: str
    answers: Answering | None = None
    fields: tuple[Field, ...] = ()
    takes_file: bool = False
    needs_file: bool = False
    is_open: bool = False
    keys: tuple[str, ...] = ()
    media_type: str = "application/json"

    @property
    def methods(self) -> tuple[str, ...]:
        if self.answers is None:
            return ("GET",)
        return ("POST",) if self.needs_file else ("GET", "POST")


_ANSWER = ("query", "query_track_id", "encoder", "library", "geometry", "request", "notices", "results")
ENDPOINTS = (
    Endpoint(
        "embed", "/v1/embed", "The embedding of an audio file by an encoder: (n_layers, dim), and of each segment.",
        answering.embed, EMBEDDED, takes_file=True, needs_file=True,
        keys=("encoder", "fingerprint", "sha256", "duration_s", "n_layers", "dim", "mean", "starts_s", "segments"),
    ),
    Endpoint(
        "similar", "/v1/similar", "The nearest tracks to a track or a file, as `similar --json`.",
        answering.similar, QUESTION, takes_file=True, keys=_ANSWER,
    ),
    Endpoint(
        "explain", "/v1/explain", "The same, and in what each is like the query, as `similar --explain --json`.",
        answering.explain, QUESTION, takes_file=True, keys=_ANSWER,
    ),
    Endpoint(
        "recommend", "/v1/recommend", "What a listener may want to hear next, as `recommend --json`.",
        answering.recommended, RECOMMENDED,
    ),
    Endpoint(
        "tags", "/v1/tags", "As what recordings are heard, as `tags --json`.", answering.tags, TAGGED,
        keys=("library", "tracks"),
    ),
    Endpoint("live", "/health/live", "Whether the service runs.", is_open=True, keys=("status",)),
    Endpoint("ready", "/health/ready", "Whether it answers: its index is made.", is_open=True, keys=("status",)),
    Endpoint(
        "metrics", "/metrics", "What it has done, for Prometheus.", media_type="text/plain",
    ),
    Endpoint("openapi", "/openapi.json", "This document.", keys=("openapi", "info", "paths", "components")),
)  # fmt: skip
BY_PATH = {each.path: each for each in ENDPOINTS}
