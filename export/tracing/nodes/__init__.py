"""What a NIR node is made of, shared by capture, step and emit."""
