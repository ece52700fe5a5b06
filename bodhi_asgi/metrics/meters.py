"""Every meter of a server, in one place. Names follow Prometheus: a unit at the end, ``_total`` for counters."""

from bodhi_asgi.metrics.kinds import Counter, Gauge, Histogram


class Meters:
    """One set per server; nothing is shared between servers or with the host's own metrics."""

    def __init__(self) -> None:
        self.requests = Counter("bodhi_http_requests_total", "HTTP requests answered.", ("route", "status"))
        self.request_s = Histogram(
            "bodhi_http_request_duration_seconds", "Time until the answer was complete.", ("route",)
        )
        self.generations = Counter("bodhi_generations_total", "Answers ended, by how.", ("model", "outcome"))
        self.readings = Counter(
            "bodhi_readings_total",
            "Embeddings, ranks and tokens, by how they ended.",
            ("model", "kind", "outcome"),
        )
        self.prompt_tokens = Counter("bodhi_prompt_tokens_total", "Tokens read.", ("model",))
        self.cached_tokens = Counter(
            "bodhi_cached_tokens_total", "Tokens read that did not have to be computed again.", ("model",)
        )
        self.completion_tokens = Counter("bodhi_completion_tokens_total", "Tokens written.", ("model",))
        self.drafted_tokens = Counter(
            "bodhi_drafted_tokens_total", "Tokens guessed by speculation before they were computed.", ("model",)
        )
        self.accepted_tokens = Counter(
            "bodhi_accepted_tokens_total", "Guessed tokens that came true and cost no step of their own.", ("model",)
        )
        self.first_token_s = Histogram(
            "bodhi_time_to_first_token_seconds", "Time from the request to its first text.", ("model",)
        )
        self.engine_deaths = Counter("bodhi_engine_deaths_total", "Engines that ended unasked.", ("model",))
        self.model_unloads = Counter(
            "bodhi_model_unloads_total", "Models unloaded in order, by why.", ("model", "reason")
        )
        self.engine_running = Gauge("bodhi_engine_running", "Requests that run in an engine.", ("model",))
        self.engine_waiting = Gauge("bodhi_engine_waiting", "Requests that wait for a slot.", ("model",))
        self.token_verifications = Counter(
            "bodhi_token_verifications_total", "API tokens checked, by outcome.", ("outcome",)
        )
        self.downloads = Counter("bodhi_downloads_total", "Downloads ended, by how.", ("outcome",))
        self.downloaded_bytes = Counter("bodhi_downloaded_bytes_total", "Bytes of files received from the hub.")
        self.identities = Counter("bodhi_identities_total", "Callers established, by kind.", ("kind",))

    def all(self) -> list[Counter | Gauge | Histogram]:
        """Every meter, in declared order."""
        return list(vars(self).values())
