"""Lava processes that Lava does not have.

A package of its own, for Lava executes every module beside a process to find its models.
"""
