"""Places with bytes: stores and the staging area. Knows nothing of the catalog; every call blocks."""
