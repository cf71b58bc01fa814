"""Staging: networks that need all steps of one part before the next, cut into programs and host steps."""
