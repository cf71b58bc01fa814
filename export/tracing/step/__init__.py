"""The step of a model whose forward holds its own time loop, found in what was captured."""
