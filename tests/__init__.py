"""The tests, a package so that `python -m tests.fuzz` finds them whatever a dependency installs under that name."""
