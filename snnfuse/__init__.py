"""snnfuse: multimodal spiking networks, from snnTorch through NIR to bit-exact fixed-point programs for Loihi 2."""
