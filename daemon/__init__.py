"""The damfs daemon: builds the parts, mounts, serves, and ends in order. Knows every layer; no layer knows it."""
