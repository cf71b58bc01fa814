"""Every figure that the README quotes, one module each: `python -m benchmarks.NAME`."""
