"""Files of terms that other programs write and read: SKOS, keyword lists, tables.

Used by the command line only: reading a large file takes seconds, and the daemon must not stand still for it. Each
format is a module with `read` (text to concepts) and `write` (concepts to text); `files` knows which there are.
"""
