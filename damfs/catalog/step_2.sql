-- From schema 1 to 2: writing, trash, attributes and versions as of the second release.
-- What is made here must end up letter for letter as schema.sql has it, comments and line breaks aside.

-- What people say of an asset beside its terms. No row: nothing.
CREATE TABLE remark (
  asset   INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE,
  rating  INTEGER NOT NULL CHECK (rating BETWEEN 0 AND 10), -- two for each star; 0: not rated
  comment TEXT NOT NULL                 -- '': none
) STRICT;
CREATE INDEX remark_by_rating ON remark (rating) WHERE rating > 0;

-- An extended attribute of the name space user.* that means nothing to damfs and is kept for the program that set it.
CREATE TABLE attribute (
  asset INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  name  BLOB NOT NULL,                  -- with its 'user.'; any bytes but NUL
  value BLOB NOT NULL,                  -- at most 64 KiB, as the kernel has it
  PRIMARY KEY (asset, name)
) STRICT;
