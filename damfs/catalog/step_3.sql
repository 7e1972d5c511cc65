-- From schema 2 to 3: more kinds of renditions; sidecars; near duplicates.
-- From schema 2 to 3: more kinds of renditions; vectors that were removed, and the spaces of models.
-- What is made here must end up letter for letter as schema.sql has it, comments and line breaks aside.

DROP INDEX rendition_by_key;
ALTER TABLE rendition RENAME TO rendition_of_2;
CREATE TABLE rendition (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  blob      INTEGER NOT NULL REFERENCES blob (id),
  kind      TEXT NOT NULL,              -- 'poster', 'thumbnail', 'proxy' …: RenditionKind of model.py
  profile   TEXT NOT NULL,              -- tells renditions of one kind apart: '256', 'dnxhr-lb'
  key       TEXT NOT NULL,              -- path below state/renditions/
  size      INTEGER NOT NULL,
  made_ns   INTEGER NOT NULL,
  detail    TEXT NOT NULL DEFAULT '{}', -- JSON object, e.g. a proxy's conformance report
  UNIQUE (blob, kind, profile)
) STRICT;
INSERT INTO rendition SELECT * FROM rendition_of_2;
INSERT INTO sqlite_sequence (name, seq) -- row ids are inodes: those of removed rows are not given again
  SELECT 'rendition', seq FROM sqlite_sequence WHERE name = 'rendition_of_2'
  AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'rendition');
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'rendition_of_2')
  WHERE name = 'rendition' AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'rendition_of_2');
DROP TABLE rendition_of_2;
CREATE INDEX rendition_by_key ON rendition (key);

-- A sidecar (XMP) stands beside an original and speaks of it. What it said when both were last in step tells which of
-- the two has changed since.
CREATE TABLE sidecar (
  asset    INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE, -- the sidecar: no asset of its own in most views
  original INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  digest   BLOB NOT NULL,               -- of the bytes that were read or written last; empty: none yet
  own      INTEGER NOT NULL,            -- 1: damfs wrote them
  said     TEXT NOT NULL,               -- JSON object: what they say
  problem  TEXT NOT NULL                -- why they could not be read, one line; '': they were
) STRICT;
CREATE INDEX sidecar_by_original ON sidecar (original);

-- Two blobs that look alike, though their bytes differ. Found by comparing fingerprints; may be found again.
CREATE TABLE near (
  blob     INTEGER NOT NULL REFERENCES blob (id) ON DELETE CASCADE, -- the lower id
  other    INTEGER NOT NULL REFERENCES blob (id) ON DELETE CASCADE,
  distance REAL NOT NULL,               -- 0: no difference is seen; 1: as different as unrelated ones
  reason   TEXT NOT NULL,               -- for people: 'cut to 62 %, mirrored'
  PRIMARY KEY (blob, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX near_by_other ON near (other);

-- A blob whose fingerprint was compared with those of all others that were there.
CREATE TABLE compared (
  blob INTEGER PRIMARY KEY REFERENCES blob (id) ON DELETE CASCADE,
  mark TEXT NOT NULL                    -- version of the comparison
) STRICT;
-- A vector that was removed. Its index, if it is loaded, forgets it when it next looks; then the row goes.
CREATE TABLE dropped_vector (
  seq    INTEGER PRIMARY KEY AUTOINCREMENT,
  vector INTEGER NOT NULL,              -- id of the row of embedding that is gone
  model  TEXT NOT NULL
) STRICT;
CREATE INDEX dropped_vector_by_model ON dropped_vector (model, seq);
CREATE TRIGGER embedding_dropped AFTER DELETE ON embedding BEGIN
  INSERT INTO dropped_vector (vector, model) VALUES (old.id, old.model);
END;

-- A set of models that belong together and whose vectors are kept, as it was when it was last loaded.
CREATE TABLE space (
  id         TEXT PRIMARY KEY,          -- changes with the weights and the length of the vectors
  name       TEXT NOT NULL,             -- as model.name of the settings says it
  visual     TEXT,                      -- embedding.model of its pictures, to tell which look alike; NULL: it sees none
  meeting    TEXT,                      -- embedding.model of its pictures, to compare with words; NULL: they never meet
  words      TEXT NOT NULL,             -- embedding.model of its texts
  dimensions TEXT NOT NULL,             -- JSON object: length of the vectors of each of these
  made_ns    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a clip is found by, of others that have a moment in common with it (`damfs.core.sequences`).
CREATE TABLE clip_mark (
  value INTEGER NOT NULL,
  blob  INTEGER NOT NULL REFERENCES blob (id) ON DELETE CASCADE,
  PRIMARY KEY (value, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX clip_mark_by_blob ON clip_mark (blob);
