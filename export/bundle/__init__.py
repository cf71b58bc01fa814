"""The bundle: the folder that an export writes, its manifest, and what checks it."""
