"""The compiler: snnTorch model to NIR graph to fixed-point Program to bundle."""
