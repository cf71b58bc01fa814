"""Pictures of programs and recordings: in notebooks, in reports, and as files.

Every function returns a `canvas.Drawing`, which a notebook shows, `drawing.save(path)` writes and `str(drawing)` gives as SVG.
"""

from snnfuse.hardware.pictures.canvas import Drawing
from snnfuse.hardware.pictures.cores import draw_cores
from snnfuse.hardware.pictures.network import draw_program
from snnfuse.hardware.pictures.profile import draw_profile
from snnfuse.hardware.pictures.raster import draw_raster

__all__ = ["Drawing", "draw_cores", "draw_profile", "draw_program", "draw_raster"]
