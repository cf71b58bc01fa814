"""Every kind of file that is read from strangers: what it is mutated from, how, and what a command does with it."""

from tests.fuzz.data_families import DATA
from tests.fuzz.graph_families import GRAPHS
from tests.fuzz.program_families import PROGRAMS

FAMILIES = {family.name: family for family in (*GRAPHS, *PROGRAMS, *DATA)}
