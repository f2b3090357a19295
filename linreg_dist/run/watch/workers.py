"""The driver's side of the watch over Ray workers: it finds the stuck ones that cannot tell, ends them so
that Ray restarts the group, and keeps what is known of all of them for the error and the result.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linreg_dist.jobspec import JobSpec
from linreg_dist.liveness import process_start, process_state
from linreg_dist.run.watch.capacity import free_and_all, resources_text
from linreg_dist.storage import read_regular
from linreg_dist.training.beats import BEAT_S, Beat, Board, describe_stuck, stuck_report
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_ANSWER_TIMEOUT_S = 20.0
_QUIET_S = 60.0


class GroupWatch:
    """Looks after the workers of one `fit`.

    Attributes:
        board: handle of the actor that the workers report to.

    """

    def __init__(self, spec: JobSpec) -> None:
        import ray

        self._spec = spec
        self._limit_s = spec.run.stuck_after_s
        self.board = ray.remote(Board).options(num_cpus=0, max_restarts=-1).remote()
        self._ended = threading.Event()
        self._told = 0
        self._ours: list[dict[str, Any]] = []
        self._theirs: list[dict[str, Any]] = []
        self._sizes: list[int] = []
        self._thread = threading.Thread(target=self._watch, name="watch-workers", daemon=True)
        self._thread.start()

    @property
    def reports(self) -> list[dict[str, Any]]:
        """What is known of every worker that was stuck; see `stuck_report`."""
        return [*self._theirs, *self._ours]

    @property
    def group_sizes(self) -> list[int]:
        """The number of workers of every group that was started, the last one last."""
        return self._sizes

    def close(self) -> None:
        """Stop looking, after one last look."""
        import ray

        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(ray.exceptions.RayError):  # Ray itself may be gone
            self._read_board()
        ray.kill(self.board)

    def _watch(self) -> None:
        import ray

        quiet_s = 0.0
        while not self._ended.wait(BEAT_S):
            try:
                beats = self._read_board()
                quiet_s = 0.0 if beats else quiet_s + BEAT_S
                if quiet_s >= _QUIET_S:
                    self._tell_of_quiet()
                    quiet_s = 0.0
                if self._limit_s is not None:
                    self._end_silent(beats)
                    self._end_deadlock(beats)
            except ray.exceptions.RayError as error:  # the next look tells whether Ray is still there
                logger.debug("no look at the workers: %s", error)

    def _read_board(self) -> list[tuple[Beat, float]]:
        import ray

        looked = ray.get(self.board.look.remote(), timeout=_ANSWER_TIMEOUT_S)
        beats: list[tuple[Beat, float]] = looked[0]
        for size in looked[2][len(self._sizes) :]:
            logger.info("training goes on a group of %d workers", size)
        self._theirs, self._sizes = looked[1], looked[2]
        for report in self._theirs[self._told :]:
            self._tell(report)
        self._told = len(self._theirs)
        return beats

    def _end_silent(self, beats: list[tuple[Beat, float]]) -> None:
        """End workers that say nothing any more: stopped, swapped out, or held up by one call."""
        for beat, age_s in beats:
            if self._limit_s is None or age_s < self._limit_s:
                continue
            known, state, stack = self._on_node(beat)
            if known and state is None:
                self.board.leave.remote(beat.group, beat.rank)  # dead, which Ray sees by itself
                continue
            how = f"no sign of life for {age_s:.0f} s (run.stuck_after_s is {self._limit_s:g})"
            if not known:
                how += ", and its node does not answer"
            self._note(stuck_report(beat, beat.doing, how, stack, state))
            self.board.leave.remote(beat.group, beat.rank)

    def _end_deadlock(self, beats: list[tuple[Beat, float]]) -> None:
        """End a group in which everyone waits for the others: messages between them are lost."""
        if not beats or len(beats) < beats[0][0].world_size:
            return
        limit_s = self._limit_s
        if limit_s is None or not all(
            beat.waiting and beat.idle_s >= limit_s and age_s < limit_s for beat, age_s in beats
        ):
            return
        where = ", ".join(f"rank {beat.rank} on {beat.host} ({beat.ip})" for beat, _ in beats)
        how = (
            f"all {len(beats)} workers have been waiting for each other for {limit_s:g} s "
            f"(run.stuck_after_s), so messages between them are lost: {where}. Look at the network between "
            "these nodes"
        )
        for beat, _ in beats:
            _, state, _ = self._on_node(beat)
            if beat.rank == 0:
                self._note(stuck_report(beat, beat.doing, how, None, state))
            self.board.leave.remote(beat.group, beat.rank)

    def _on_node(self, beat: Beat) -> tuple[bool, str | None, str | None]:
        """End a worker's process from its own node.

        Returns:
            Whether the node answered, the state the process was in (None if it is gone), and its stacks if
            the interpreter left any.

        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if beat.node_id not in alive:
            return True, None, None
        task = ray.remote(end_process).options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(beat.node_id, soft=False),
        )
        try:
            state, stack = ray.get(
                task.remote(beat.pid, beat.started, beat.stack_file), timeout=_ANSWER_TIMEOUT_S
            )
        except ray.exceptions.RayError:
            return False, None, None
        return True, state, stack

    def _note(self, report: dict[str, Any]) -> None:
        self._ours.append(report)
        self._tell(report)

    def _tell(self, report: dict[str, Any]) -> None:
        logger.warning("%s", describe_stuck(report, with_stack=True))

    def _tell_of_quiet(self) -> None:
        scaling = self._spec.scaling
        logger.warning(
            "no worker has run for %g s. The job needs %s workers of %s each; the cluster has %s. It waits: "
            "add nodes, or stop it",
            _QUIET_S,
            scaling.min_workers,
            resources_text(scaling),
            free_and_all(),
        )


@contextlib.contextmanager
def watch_group(spec: JobSpec) -> Iterator[GroupWatch | None]:
    """Watch the workers of a job; there are none to watch in local mode."""
    if spec.scaling.max_workers == 0:
        yield None
        return
    watch = GroupWatch(spec)
    try:
        yield watch
    finally:
        watch.close()


def end_process(pid: int, started: str, stack_file: str) -> tuple[str | None, str | None]:
    """Kill a process of this machine, and say what was known of it.

    Args:
        pid: of the process.
        started: when it started, see `process_start`; another process of that pid is left alone.
        stack_file: where it may have left its stacks.

    Returns:
        The state it was in, None if there was no such process; and the stacks, None if there are none.

    """
    if process_start(pid) != started:
        return None, None
    state = process_state(pid)
    try:
        stack = read_regular(Path(stack_file)).decode(errors="replace") or None
        Path(stack_file).unlink()
    except OSError:
        stack = None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return state, stack
