"""Processors: one module for each step that derives something from the bytes of a version (see processor.py).

The daemon imports the modules and calls ``accepts``; libraries that decode are imported by ``run``, in a worker.
"""
