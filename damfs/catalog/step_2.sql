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

-- A file that is just being renamed on the disk, to this key; start-up takes back what was not finished.
CREATE TABLE file_move (
  copy INTEGER PRIMARY KEY REFERENCES copy (id) ON DELETE CASCADE,
  key  BLOB NOT NULL
) STRICT;

-- An asset in the trash, kept there until its retention ends.
CREATE TABLE trashed (
  asset INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE,
  at_ns INTEGER NOT NULL,               -- since when: its retention counts from here
  place TEXT NOT NULL                   -- path in the mount at which it was removed; '': elsewhere
) STRICT;
CREATE INDEX trashed_by_time ON trashed (at_ns);

-- A file of the writable store that was moved out of the way because its asset is in the trash.
CREATE TABLE aside (
  copy       INTEGER PRIMARY KEY REFERENCES copy (id) ON DELETE CASCADE,
  key        BLOB NOT NULL,             -- where it lay, and goes back to
  unfinished INTEGER NOT NULL           -- 1: its old name may still be there as well
) STRICT;
CREATE INDEX aside_unfinished ON aside (copy) WHERE unfinished;

-- A file whose asset expired: it is removed, and then this row.
CREATE TABLE doomed (
  store INTEGER NOT NULL REFERENCES store (id),
  key   BLOB NOT NULL,
  PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

-- What a file manager called an asset when it moved it into .Trash-<uid>/files/.
CREATE TABLE trash_name (
  uid   INTEGER NOT NULL,
  name  TEXT NOT NULL,
  asset INTEGER NOT NULL UNIQUE REFERENCES asset (id) ON DELETE CASCADE,
  PRIMARY KEY (uid, name)
) STRICT, WITHOUT ROWID;

-- What a file manager wrote into .Trash-<uid>/info/.
CREATE TABLE trash_note (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  uid     INTEGER NOT NULL,
  name    TEXT NOT NULL,
  content BLOB NOT NULL,
  at_ns   INTEGER NOT NULL,             -- when it was last written
  UNIQUE (uid, name)
) STRICT;

-- What is in the trash already is kept for a whole retention from now on.
INSERT INTO trashed (asset, at_ns, place)
  SELECT id, CAST(strftime('%s', 'now') AS INTEGER) * 1000000000, '' FROM asset WHERE state = 'trashed';

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
