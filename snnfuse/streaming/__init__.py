"""Live inputs for a program, one step at a time: sound, frames, events, recordings."""

from snnfuse.streaming.opening import Settings, open_stream

__all__ = ["Settings", "open_stream"]
