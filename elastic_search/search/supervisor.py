"""Several workers on one machine: each is a process, which is started, listened to, and replaced if it dies.

The workers share the run's folder and find their trials there (``claims``). The supervisor keeps the run's time and
shows the workers' events. The only trial that it records itself is one that kills its worker again and again.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.search.claims import Claims
from elastic_search.search.evaluator import Epoch
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import OF_BASE, Result
from elastic_search.search.trials.clock import SAVED_EVERY, Clock
from elastic_search.search.trials.loop import Observer
from elastic_search.search.trials.signals import StopSignal

HUNG = 75  # exit code of a worker whose training hung: its trial is recorded, and the worker may be replaced
DEATHS = 3  # workers that one trial may kill without an epoch in between before it is recorded as failed
IDLE_DEATHS = 5  # deaths in a row without an epoch of any worker; more mean that something else is wrong
OVERRUN = 60.0  # seconds after the deadline in which a worker may still end by itself


@dataclass
class _Worker:
    """Worker ``number``: its process, its current trial unless it is recorded already, and how it ended."""

    number: int
    process: subprocess.Popen[str]
    observer: Observer
    pending: Result | None = None
    ended: str = ""
    error: dict[str, Any] | None = None
    gone: bool = False


class Reporter:
    """The worker's side: an observer that writes every event as a line of JSON."""

    def started(self, pending: Result, depths: tuple[int, ...], again: bool) -> None:
        tell("started", pending=pending.to_dict(), depths=depths, again=again)

    def epoch(self, epoch: Epoch) -> None:
        tell("epoch", **vars(epoch))

    def finished(self, result: Result, why: str) -> None:
        tell("finished", result=result.to_dict(), why=why)


def tell(event: str, **about: Any) -> None:
    """Write one event to the supervisor, on a line of its own even if a library printed half a line before."""
    sys.stdout.write(f"\n{json.dumps({'event': event, **about})}\n")
    sys.stdout.flush()


def _event(line: str) -> dict[str, Any] | None:
    """The event in a worker's line, or None if the line is something else."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and "event" in said else None


def end_with_parent() -> None:
    """End this process as soon as the supervisor is gone, which closes our stdin."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


@dataclass
class Supervisor:
    """Runs workers until all of them have ended.

    Attributes:
        command: gives the command line of a worker.
        environment: of all workers.
        workers: their number.
        observer: gives the observer of a worker.
        folder: of the run.
        clock: of the run.
        stop: asks the search to end.
    """

    command: Callable[[int], list[str]]
    environment: Mapping[str, str]
    workers: int
    observer: Callable[[int], Observer]
    folder: RunFolder
    clock: Clock
    stop: StopSignal

    def __post_init__(self) -> None:
        self._running: dict[int, _Worker] = {}
        self._events: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._deaths: Counter[int | None] = Counter()
        self._idle_deaths = 0

    def run(self) -> str:
        """Run the workers.

        Returns:
            Why the search ended: "trials", "time", "exhausted" or "signal".

        Raises:
            EnvironmentFault: if a worker cannot go on, or workers die one after another.
        """
        told = False
        try:
            with self.stop.listening():
                for number in range(self.workers):
                    self._start(number, self.observer(number))
                while not all(worker.gone for worker in self._running.values()):
                    with suppress(queue.Empty):
                        self._hear(*self._events.get(timeout=0.5))
                    self.clock.save(SAVED_EVERY)
                    if self.stop.received is not None and not told:
                        told = True
                        for worker in self._running.values():
                            worker.process.send_signal(signal.SIGTERM)
                    left = self.clock.left
                    if left is not None and left < -OVERRUN:
                        self._kill()
        finally:
            self._kill()
            deadline = time.monotonic() + 10
            for worker in self._running.values():
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.1, deadline - time.monotonic()))
            self.clock.save()
        if self.stop.received is not None:
            return "signal"
        endings = [worker.ended for worker in self._running.values()]
        if "" in endings and self.clock.is_over:
            return "time"
        return next((why for why in ("time", "exhausted") if why in endings), "trials")

    def _start(self, number: int, observer: Observer) -> None:
        process = subprocess.Popen(
            self.command(number),
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, which passes it on once
        )
        worker = self._running[number] = _Worker(number, process, observer)

        def read() -> None:
            try:
                with process:
                    for line in process.stdout or ():
                        if (said := _event(line)) is not None:
                            self._events.put((worker, said))
                        elif line.strip():
                            # Printed by a library, or half a line of a worker that was killed.
                            print(line.rstrip("\n"), file=sys.stderr, flush=True)
            finally:
                self._events.put((worker, None))

        threading.Thread(target=read, daemon=True).start()

    def _hear(self, worker: _Worker, said: dict[str, Any] | None) -> None:
        if said is None:
            worker.gone = True
            return self._ended(worker)
        event = said.pop("event")
        if event == "started":
            pending, again = Result.of(said["pending"]), said["again"]
            worker.pending = None if again or pending.number in OF_BASE else pending
            worker.observer.started(pending, tuple(said["depths"]), again)
        elif event == "epoch":
            self._idle_deaths = 0
            if worker.pending is not None:
                self._deaths.pop(worker.pending.number, None)
            worker.observer.epoch(Epoch(**said))
        elif event == "finished":
            worker.pending = None
            worker.observer.finished(Result.of(said["result"]), said["why"])
        elif event == "ended":
            worker.ended = said["why"]
        else:
            worker.error = said

    def _ended(self, worker: _Worker) -> None:
        """Deal with a worker whose process is gone: it is done, reported an error, or is replaced."""
        if worker.error is not None:
            error = ElasticError(worker.error["message"], worker.error["hint"])
            error.exit_code = worker.error["code"]
            raise error
        if worker.ended or self.stop.received is not None or self.clock.is_over:
            return
        if worker.process.returncode != HUNG or worker.pending is None:
            # A training that hangs and cannot be recorded, such as the base's, would hang for ever.
            self._died(worker, worker.process.returncode)
        self._start(worker.number, worker.observer)

    def _died(self, worker: _Worker, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._idle_deaths += 1
        if self._idle_deaths >= IDLE_DEATHS:
            raise EnvironmentFault(f"workers die one after another ({how})", "see the messages above")
        print(f"worker {worker.number} died ({how}); another takes its place", file=sys.stderr, flush=True)
        if worker.pending is None:
            return
        number, claims = worker.pending.number, Claims(self.folder.path / "claims")
        self._deaths[number] += 1
        # If another worker has taken the trial over already, that one records it.
        if self._deaths[number] >= DEATHS and claims.take(str(number)):
            try:
                if self.folder.result(number) is None:
                    reason = f"killed its worker {DEATHS} times ({how}): out of memory?"
                    failed = replace(worker.pending, reason=reason)
                    self.folder.record(failed)
                    worker.observer.finished(failed, reason)
                    self._idle_deaths = 0
            finally:
                claims.release(str(number))

    def _kill(self) -> None:
        """End the workers that still run; their trials continue from the last epoch at the next start."""
        for worker in self._running.values():
            if worker.process.poll() is None:
                worker.process.kill()
