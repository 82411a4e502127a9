"""/metrics: what Prometheus reads, computed from the database at the time of the scrape.

Queued and running jobs are counted as they stand, through partial indexes. Ended ones are
followed: each scrape reads only what ended since the last one and adds it to this process's
counters and histograms, so that a table with a million finished rows costs nothing. The first
scrape goes back one hour. Every API process follows all jobs: scrape one, or take the maximum.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Iterator
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.core.clock import Clock
from app.jobs.store import read
from app.jobs.store.read import Crowd, Reader

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FIRST_LOOK = timedelta(hours=1)
_OVERLAP = timedelta(seconds=5)  # a row is stamped before it is committed
_BATCH = 5_000  # ended jobs per statement; counting them holds the loop for some 30 ms
_BATCHES = 20  # per scrape; what is left comes with the next one
_ALIVE = timedelta(seconds=15)  # since a worker was last seen

_DURATIONS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600)
_PICKUPS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 3600)


class Metrics:
    """The numbers of one API process."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = asyncio.Lock()
        self._registry = CollectorRegistry()
        self._figures = _Figures()
        self._registry.register(self._figures)
        self._duration = Histogram(
            "headway_job_duration_seconds",
            "From the start of the last attempt to the end",
            ["job_type", "status"],
            buckets=_DURATIONS,
            registry=self._registry,
        )
        self._pickup = Histogram(
            "headway_job_pickup_seconds",
            "From the moment the job was due to the start of its last attempt",
            ["job_type"],
            buckets=_PICKUPS,
            registry=self._registry,
        )
        self._from = clock() - _FIRST_LOOK
        self._followed: dict[str, datetime] = {}  # id and end of jobs counted near `_from`
        self._workers: dict[str, tuple[int, int]] = {}

    async def text(self) -> bytes:
        """The page in Prometheus's text format. Raises `Unavailable` without a database."""
        async with self._lock:
            self._figures.crowds = await read.crowds(self._reader)
            since = self._from - _OVERLAP
            for _ in range(_BATCHES):
                if await self._follow(since) < _BATCH:
                    break
                since = self._from
            self._forget()
            await self._look_at_workers()
            return generate_latest(self._registry)

    async def _follow(self, since: datetime) -> int:
        """Count one batch of ended jobs; how many rows were read."""
        rows = await read.ended_since(self._reader, since, _BATCH + len(self._followed))
        for job_id, status, kind, queue, due, started, ended in rows:
            end = _moment(ended)
            self._from = max(self._from, end)
            if job_id in self._followed and self._followed[job_id] == end:
                continue
            self._followed[job_id] = end
            self._figures.ended[status, kind, queue] += 1
            if started is not None:
                start = _moment(started)
                self._duration.labels(kind, status).observe(_seconds(end - start))
                self._pickup.labels(kind).observe(_seconds(start - _moment(due)))
        return len(rows)

    def _forget(self) -> None:
        """Drop what the next scrape will not meet again."""
        oldest = self._from - _OVERLAP
        self._followed = {job: end for job, end in self._followed.items() if end >= oldest}

    async def _look_at_workers(self) -> None:
        """Add up what workers count since their start, also of those that have gone."""
        limit, alive = self._clock() - _ALIVE, 0
        seen: dict[str, tuple[int, int]] = {}
        for worker_id, recovered, lost, last_seen in await read.worker_counters(self._reader):
            before = self._workers.get(worker_id, (0, 0))
            self._figures.recovered += max(0, recovered - before[0])
            self._figures.lost += max(0, lost - before[1])
            seen[worker_id] = recovered, lost
            alive += _moment(last_seen) >= limit
        self._workers = seen
        self._figures.workers = alive


class _Figures(Collector):
    """What is not a histogram, as it was found by the last scrape."""

    def __init__(self) -> None:
        self.crowds: list[Crowd] = []
        self.ended: Tally[tuple[str, str, str]] = Tally()
        self.recovered = self.lost = self.workers = 0

    def collect(self) -> Iterator[Metric]:
        """Called by `generate_latest`."""
        jobs = GaugeMetricFamily(
            "headway_jobs",
            "Jobs queued and running now; for ended ones, those followed by this process",
            labels=["status", "job_type", "queue"],
        )
        depth = GaugeMetricFamily("headway_queue_depth", "Jobs that are due", labels=["queue"])
        oldest = GaugeMetricFamily(
            "headway_queue_oldest_seconds", "How long the oldest is due", labels=["queue"]
        )
        depths: Tally[str] = Tally()
        ages: dict[str, float] = {}
        for crowd in self.crowds:
            jobs.add_metric([crowd.status, crowd.kind, crowd.queue], crowd.count)
            depths[crowd.queue] += crowd.due
            ages[crowd.queue] = max(ages.get(crowd.queue, 0.0), crowd.oldest_seconds)
        for (status, kind, queue), count in sorted(self.ended.items()):
            jobs.add_metric([status, kind, queue], count)
        for queue in sorted({"default", *depths}):
            depth.add_metric([queue], depths[queue])
            oldest.add_metric([queue], ages.get(queue, 0.0))
        yield from (jobs, depth, oldest)
        yield CounterMetricFamily(
            "headway_jobs_recovered", "Jobs taken from workers that were gone", self.recovered
        )
        yield CounterMetricFamily(
            "headway_lease_lost", "Jobs that workers lost by renewing too late", self.lost
        )
        yield GaugeMetricFamily("headway_workers", "Workers seen lately", self.workers)


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _seconds(duration: timedelta) -> float:
    return max(0.0, duration.total_seconds())
