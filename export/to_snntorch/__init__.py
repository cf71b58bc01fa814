"""From a NIR graph back to a snnTorch model."""
