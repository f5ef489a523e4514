"""Numbers for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ("endpoint", "status")
        self._requests = Counter("mlshare_requests_total", "Requests answered", names, registry=self.registry)
        self._seconds = Histogram(
            "mlshare_request_seconds",
            "Seconds until the last byte",
            ("endpoint",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._bytes = Counter("mlshare_response_bytes_total", "Bytes sent", ("endpoint",), registry=self.registry)
        self.active = Gauge("mlshare_requests_active", "Requests being answered", registry=self.registry)

    def count(self, endpoint: str, status: int, seconds: float, size: int) -> None:
        """Note one answer."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)
        self._bytes.labels(endpoint).inc(size)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
