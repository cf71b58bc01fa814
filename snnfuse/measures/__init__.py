"""What a network's embeddings and its sensors are worth, measured, float and deployed. Only `of_model` needs torch."""

from snnfuse.measures.conditions import Condition, conditions_for
from snnfuse.measures.features import Discrimination, angles, discriminate, embedding_nodes
from snnfuse.measures.modality import measure_modalities
from snnfuse.measures.runs import Deployed, Run, accuracy, confusion, of_floats, of_graph, of_model

__all__ = [
    "Condition",
    "Deployed",
    "Discrimination",
    "Run",
    "accuracy",
    "angles",
    "conditions_for",
    "confusion",
    "discriminate",
    "embedding_nodes",
    "measure_modalities",
    "of_floats",
    "of_graph",
    "of_model",
]
