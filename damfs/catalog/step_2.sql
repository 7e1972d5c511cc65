-- From schema 1 to 2: writing, trash, attributes and versions as of the second release.
-- What is made here must end up letter for letter as schema.sql has it, comments and line breaks aside.
CREATE INDEX version_later ON version (asset) WHERE number > 1;

-- An asset that has arrived and is being written again: its next bytes are in staging/<asset> until they are a version.
-- A row is here from the first open for writing until the new version is committed, or the attempt is dropped.
CREATE TABLE rewrite (
  asset    INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE,
  closed   INTEGER NOT NULL,            -- 1: its last close was seen, what is staged is whole
  size     INTEGER NOT NULL,            -- of what is staged, as of the last close or fsync
  mtime_ns INTEGER NOT NULL,            -- of the next version
  dated    INTEGER NOT NULL             -- 1: mtime_ns was set by a program, and is not just when it wrote
) STRICT;
