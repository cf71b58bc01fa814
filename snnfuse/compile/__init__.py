"""The main job: a source becomes a graph or integers, a compiled program, and a bundle."""
