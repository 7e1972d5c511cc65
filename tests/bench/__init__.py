"""How fast damfs is on this machine, beside what it is built on: `python -m tests.bench`, one JSON line a figure.

Real mounts of real libraries in a temporary directory; both sides of a ratio are measured in turns in one run.
"""
