"""The fits of a bit width search, spread over a ray cluster: each stands alone, so that the result is that of one machine."""

from collections.abc import Callable, Sequence
from typing import Any

from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.mixed_precision import Mapper, Task
from snnfuse.export.quantization.population_fits import Context
from snnfuse.hardware.backends.ray_cluster import LOCAL, connected
from snnfuse.hardware.errors import EnvironmentProblem, SnnfuseError


def on_cluster(address: str = LOCAL) -> Mapper:
    """What `bit_widths.search` takes as its mapper; `address` as for `snnfuse.hardware.emulate_on_cluster`.

    Raises (when it runs):
        EnvironmentProblem: ray is missing, the cluster cannot be reached, or a task died.
    """

    def run(function: Callable[[Context, Task], Fit | None], context: Context, tasks: Sequence[Task]) -> list[Fit | None]:
        with connected(address) as ray:
            stored = ray.put(context)
            task = ray.remote(function).options(num_cpus=1)
            waiting = [task.remote(stored, each) for each in tasks]
            return _results(ray, waiting)

    return run


def _results(ray: Any, waiting: list[Any]) -> list[Any]:
    """In order; if one fails the others are cancelled."""
    try:
        return ray.get(waiting)
    except ray.exceptions.RayError as error:
        for task in waiting:
            ray.cancel(task)
        if isinstance(getattr(error, "cause", None), SnnfuseError):
            raise error.cause from error
        said = next(iter(str(getattr(error, "cause", None) or error).splitlines()), type(error).__name__)
        raise EnvironmentProblem(f"a task on the cluster failed: {said}") from error
