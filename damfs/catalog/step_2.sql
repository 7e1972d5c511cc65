-- From schema 1 to 2: writing, trash, attributes and versions as of the second release.
-- What is made here must end up letter for letter as schema.sql has it, comments and line breaks aside.

-- Where a file that is being received is shown, and will be published: in a folder of the writable store.
CREATE TABLE destination (
  asset  INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE,
  folder INTEGER NOT NULL REFERENCES folder (id),
  name   BLOB NOT NULL,                 -- the bytes that the store's file system will have
  UNIQUE (folder, name)
) STRICT;

-- A file that a person put where it is: it is not filed elsewhere by its day of capture.
CREATE TABLE placed (
  copy INTEGER PRIMARY KEY REFERENCES copy (id) ON DELETE CASCADE
) STRICT;

-- What a program set of a folder of the writable store.
CREATE TABLE folder_attribute (
  folder   INTEGER PRIMARY KEY REFERENCES folder (id) ON DELETE CASCADE,
  mode     INTEGER NOT NULL,            -- permission bits
  mtime_ns INTEGER,                     -- NULL: when its content last changed
  uid      INTEGER,                     -- NULL, like gid: the user that runs damfs
  gid      INTEGER
) STRICT;

-- A file that belongs to another user than the one that runs damfs, where the mount lets others in.
CREATE TABLE asset_owner (
  asset INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE,
  uid   INTEGER NOT NULL,
  gid   INTEGER NOT NULL
) STRICT;

-- A folder that is just being renamed on the disk. Which of its names is there tells start-up whether it was.
CREATE TABLE folder_move (
  folder INTEGER PRIMARY KEY REFERENCES folder (id) ON DELETE CASCADE,
  parent INTEGER NOT NULL REFERENCES folder (id) ON DELETE CASCADE,
  name   BLOB NOT NULL
) STRICT;
