"""Pictures of programs and recordings, by matplotlib: in notebooks, in reports, and as files.

Every function returns a `matplotlib.figure.Figure`, which a notebook shows and `figure.savefig(path)` writes. matplotlib is imported by
the first of them.
"""

from snnfuse.hardware.pictures.cores import draw_cores
from snnfuse.hardware.pictures.network import draw_program
from snnfuse.hardware.pictures.profile import draw_profile
from snnfuse.hardware.pictures.raster import draw_raster

__all__ = ["draw_cores", "draw_profile", "draw_program", "draw_raster"]
