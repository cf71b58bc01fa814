"""Emit: captured operations as nodes of a NIR graph."""
