"""STAND-IN for a module of Intel's private lava-loihi: its presence is how Lava tells that the package is installed."""
