"""The claims of the lock on an object store, in any order that requests can take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.errors import RunFailedError
from linreg_dist.run.lock import on_objects as lock_object
from linreg_dist.run.lock.on_objects import LockObject
from linreg_dist.run.lock.owner import Owner


class Abandoned(BaseException):
    """The test is over."""


class Stepper:
    """Runs a function in a thread that stops before each of its requests until it is told to go on."""

    def __init__(self, function: Callable[[Stepper], None]) -> None:
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._is_abandoned = False
        self.is_done = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def step(self) -> None:
        """Let it make its next request, and go on up to the one after it."""
        self._go.release()
        self._stopped.acquire()
        if self.error is not None:
            raise self.error

    def wait(self) -> None:
        """Called in the thread, before a request."""
        self._stopped.release()
        self._go.acquire()
        if self._is_abandoned:
            raise Abandoned

    def abandon(self) -> None:
        self._is_abandoned = True
        while not self.is_done:
            self._go.release()
            self._stopped.acquire()
        self._thread.join()

    def _run(self, function: Callable[[Stepper], None]) -> None:
        try:
            function(self)
        except Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 (raised again where it was stepped)
            self.error = error
        self.is_done = True
        self._stopped.release()


class Memory:
    """A store with strong consistency: each request happens at one moment, between those of others."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, bytes | None]] = []  # whose repetition may be on its way still
        self.deposed: set[str] = set()

    def request(self, name: str, content: bytes | None) -> None:
        """Put an object, or delete it where there is no content."""
        if content is None:
            self.objects.pop(name, None)
        else:
            self.objects[name] = content


class Folder:
    """Those methods of ObjectPath that the lock uses, for one driver."""

    def __init__(self, memory: Memory, stepper: Stepper, name: str = "") -> None:
        self._memory, self._stepper, self._name = memory, stepper, name

    def __truediv__(self, name: str) -> Folder:
        return Folder(self._memory, self._stepper, name)

    def write_bytes(self, content: bytes) -> None:
        self._stepper.wait()
        self._memory.request(self._name, content)
        self._memory.requests.append((self._name, content))
        if self._name.endswith(".deposed"):
            self._memory.deposed.add(self._name.removesuffix(".deposed"))

    def read_bytes(self, limit_bytes: int) -> bytes:
        self._stepper.wait()
        if self._name not in self._memory.objects:
            raise FileNotFoundError(self._name)
        assert len(self._memory.objects[self._name]) <= limit_bytes
        return self._memory.objects[self._name]

    def unlink(self, missing_ok: bool) -> None:
        self._stepper.wait()
        self._memory.request(self._name, None)
        self._memory.requests.append((self._name, None))

    def files_written_ns(self) -> dict[str, int]:
        self._stepper.wait()
        return dict.fromkeys(self._memory.objects, 0)


class Driver:
    """Tries to get the run, works a little, and gives it back.

    Args:
        verdicts: of the owners that it finds in its way, whether it takes each for dead, rightly or not; it
            takes those after the last for alive.

    """

    def __init__(self, memory: Memory, verdicts: list[bool]) -> None:
        self._memory, self._verdicts = memory, list(verdicts)
        self.got_in = self.believes = False
        self.lock: LockObject | None = None
        self.stepper = Stepper(self._drive)

    @property
    def holds(self) -> bool:
        """Whether it believes that the run is its own and nobody has said otherwise."""
        return self.believes and self.lock is not None and self.lock.owner.nonce not in self._memory.deposed

    def _drive(self, stepper: Stepper) -> None:
        current.stepper = stepper
        lock = self.lock = LockObject(Folder(self._memory, stepper), Owner.this_process())  # type: ignore[arg-type]
        try:
            while (found := lock.take()) is not None:
                if not self._verdicts or not self._verdicts.pop(0):
                    return
                lock.depose(found.owner)
        except RunFailedError:
            assert lock.owner.nonce in self._memory.deposed
            return
        self.got_in = self.believes = True
        for _ in range(2):
            if lock.holder() != lock.owner:
                break
            assert lock.owner.nonce not in self._memory.deposed, "a deposed owner is told when it looks"
            lock.beat()
        self.believes = False
        lock.give_back()


current = threading.local()
ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("go on"), st.integers(0, 2), st.integers(1, 24)),
        st.tuples(st.just("arrive"), st.integers(0, 40), st.just(1)),
    ),
    max_size=16,
)
VERDICTS = st.lists(st.lists(st.sampled_from([True, True, False]), max_size=3), min_size=2, max_size=3)
SEEDS = st.integers(0, 1000)  # of the nonces


def drive(
    verdicts: list[list[bool]], order: list[tuple[str, int, int]], seed: int, *, arrivals: bool
) -> tuple[Memory, list[Driver]]:
    """Let drivers make requests in an order, then in turns until they are done; never two may hold the run.

    Args:
        order: which of them goes on, and for how many requests; or which earlier request arrives again.
        arrivals: whether requests may be repeated on their way, and the repetition arrive at any time.

    """
    memory, random = Memory(), Random(seed)  # noqa: S311
    drivers: list[Driver] = []

    def step(driver: Driver) -> None:
        if not driver.stepper.is_done:
            driver.stepper.step()
        assert sum(driver.holds for driver in drivers) <= 1, "two hold the run"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock_object, "time", SimpleNamespace(sleep=lambda _: current.stepper.wait()))
        nonces = SimpleNamespace(uuid4=lambda: UUID(int=random.getrandbits(128)))
        patch.setattr(lock_object, "uuid", nonces)
        try:
            drivers += [Driver(memory, of_one) for of_one in verdicts]
            for what, number, times in order:
                if what == "go on":
                    for _ in range(times):
                        step(drivers[number % len(drivers)])
                elif arrivals and memory.requests:
                    memory.request(*memory.requests[number % len(memory.requests)])
            while not all(driver.stepper.is_done for driver in drivers):
                for driver in drivers:
                    step(driver)
        finally:
            for driver in drivers:
                driver.stepper.abandon()
    return memory, drivers


@given(VERDICTS, ORDERS, SEEDS)
@settings(max_examples=500, deadline=None)
def test_never_two_whoever_is_taken_for_dead(
    verdicts: list[list[bool]], order: list[tuple[str, int, int]], seed: int
) -> None:
    """Also where living owners are deposed, and where requests arrive again when all is over."""
    drive(verdicts, order, seed, arrivals=True)


@given(VERDICTS, ORDERS, SEEDS)
@settings(max_examples=500, deadline=None)
def test_never_two_once_tombstones_are_gone(
    verdicts: list[list[bool]], order: list[tuple[str, int, int]], seed: int
) -> None:
    """A deposed owner may wake after the day for which tombstones are kept; no request is as late as that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock_object, "_TOMBSTONE_KEPT_S", -1.0)
        drive(verdicts, order, seed, arrivals=False)


@given(st.integers(2, 3), ORDERS, SEEDS)
@settings(max_examples=100, deadline=None)
def test_one_gets_in_and_nothing_stays_where_nobody_dies(
    number: int, order: list[tuple[str, int, int]], seed: int
) -> None:
    memory, drivers = drive([[]] * number, order, seed, arrivals=False)
    assert any(driver.got_in for driver in drivers)
    assert memory.objects == {}
