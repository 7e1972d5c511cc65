-- The catalog of a damfs library: the canonical description of every table, column and sentinel.
-- Times are INTEGER nanoseconds since the epoch (UTC). Row ids of things that have inodes are never reused
-- (AUTOINCREMENT), because an inode number is computed from the row id.
-- A database of an older version is brought here by migrations.py; PRAGMA user_version tells which it is.

-- Facts about this catalog as a whole.
CREATE TABLE property (
  name  TEXT PRIMARY KEY,               -- 'library-id': random, made by init. 'made-ns'. 'vectors:<model>': digest of its index file. 'answering-space': id of the space that answers
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A place with bytes.
CREATE TABLE store (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE,      -- directory below originals/ in the mount
  kind       TEXT NOT NULL CHECK (kind IN ('writable', 'read-only')),
  root       TEXT NOT NULL,             -- absolute path; of the library's own store: '' (it moves with the library)
  online     INTEGER NOT NULL DEFAULT 1,-- 0: its volume was not there when last looked for
  created_ns INTEGER NOT NULL
) STRICT;

-- A folder of a store. The root of a store is the row with parent NULL and an empty name.
CREATE TABLE folder (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  store   INTEGER NOT NULL REFERENCES store (id),
  parent  INTEGER REFERENCES folder (id),
  name    BLOB NOT NULL,                -- the bytes the store's file system uses; may be invalid UTF-8
  live    INTEGER NOT NULL DEFAULT 1,   -- 0: a scan found no file in it or below, so listings leave it out
  UNIQUE (parent, name)
) STRICT;
CREATE UNIQUE INDEX folder_root ON folder (store) WHERE parent IS NULL;

-- Bytes known by their digest.
CREATE TABLE blob (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE,          -- BLAKE3, 32 bytes
  size   INTEGER NOT NULL
) STRICT;

-- The thing a person means by "this clip". size, mtime_ns and blob repeat the current version's, so that a
-- listing reads one table.
CREATE TABLE asset (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL,            -- NFC, no '/', NUL or control characters, at most 255 bytes
  media       TEXT NOT NULL CHECK (media IN ('video', 'image', 'audio', 'other')),
  state       TEXT NOT NULL CHECK (state IN ('receiving', 'present', 'missing', 'trashed')),
  triaged     INTEGER NOT NULL,         -- 0: shown in inbox/
  closed      INTEGER NOT NULL DEFAULT 1, -- 0: still being written; 1: its last close was seen, it is whole
  size        INTEGER NOT NULL,         -- while receiving: 0
  mtime_ns    INTEGER NOT NULL,         -- of the content
  mode        INTEGER NOT NULL DEFAULT 420, -- permission bits; 420 = 0644
  day         TEXT NOT NULL,            -- 'YYYY-MM-DD': wall-clock day of capture, else of mtime_ns
  captured_ns INTEGER,                  -- NULL: the bytes do not say
  blob        INTEGER REFERENCES blob (id), -- NULL only while receiving
  version     INTEGER,                  -- current version; NULL only while receiving
  created_ns  INTEGER NOT NULL,
  visible     INTEGER NOT NULL GENERATED ALWAYS AS (state IN ('present', 'receiving')) VIRTUAL,
  CHECK (state = 'receiving' OR blob IS NOT NULL)
) STRICT;
CREATE INDEX asset_by_name  ON asset (name);
CREATE INDEX asset_by_blob  ON asset (blob);
CREATE INDEX asset_by_day   ON asset (day, visible);
CREATE INDEX asset_by_media ON asset (media, visible);
CREATE INDEX asset_in_inbox ON asset (id) WHERE triaged = 0;
CREATE INDEX asset_receiving ON asset (id) WHERE state = 'receiving';

-- An asset's bytes at one time. Overwriting makes a new one; the old one stays.
CREATE TABLE version (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  asset      INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  number     INTEGER NOT NULL,          -- 1, 2, … within the asset
  blob       INTEGER NOT NULL REFERENCES blob (id),
  mtime_ns   INTEGER NOT NULL,
  created_ns INTEGER NOT NULL,
  UNIQUE (asset, number)
) STRICT;
CREATE INDEX version_by_blob ON version (blob);
CREATE INDEX version_later ON version (asset) WHERE number > 1; -- assets that were overwritten

-- An asset that has arrived and is being written again: its next bytes are in staging/<asset> until they are a version.
-- A row is here from the first open for writing until the new version is committed, or the attempt is dropped.
CREATE TABLE rewrite (
  asset    INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE,
  closed   INTEGER NOT NULL,            -- 1: its last close was seen, what is staged is whole
  size     INTEGER NOT NULL,            -- of what is staged, as of the last close or fsync
  mtime_ns INTEGER NOT NULL,            -- of the next version
  dated    INTEGER NOT NULL             -- 1: mtime_ns was set by a program, and is not just when it wrote
) STRICT;

-- One blob at one key (folder + name) of one store, shown there as one asset.
CREATE TABLE copy (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  blob        INTEGER NOT NULL REFERENCES blob (id),
  asset       INTEGER NOT NULL REFERENCES asset (id),
  store       INTEGER NOT NULL REFERENCES store (id),
  folder      INTEGER NOT NULL REFERENCES folder (id),
  name        BLOB NOT NULL,            -- last part of the key, as the store's file system has it
  size        INTEGER NOT NULL,         -- size, mtime_ns, inode: as last seen; a scan reads what differs
  mtime_ns    INTEGER NOT NULL,
  inode       INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('present', 'missing', 'damaged')),
  verified_ns INTEGER NOT NULL,         -- when the bytes were last read and matched the digest
  UNIQUE (folder, name)
) STRICT;
CREATE INDEX copy_by_blob  ON copy (blob);
CREATE INDEX copy_by_asset ON copy (asset);
CREATE INDEX copy_by_store ON copy (store);

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

-- A file that is just being renamed on the disk, to this key; start-up takes back what was not finished. An empty key:
-- this name of the file is to be removed; one with a slash behind: it is to lead to the current version.
CREATE TABLE file_move (
  copy INTEGER PRIMARY KEY REFERENCES copy (id) ON DELETE CASCADE,
  key  BLOB NOT NULL
) STRICT;

-- What a processor found out about a blob.
CREATE TABLE fact (
  blob      INTEGER NOT NULL REFERENCES blob (id),
  processor TEXT NOT NULL,
  facts     TEXT NOT NULL,              -- JSON object
  PRIMARY KEY (blob, processor)
) STRICT, WITHOUT ROWID;
CREATE INDEX fact_editor_hash ON fact (json_extract(facts, '$.md5')) WHERE processor = 'editor_hash';

-- A text by which bytes are found: a value of a field that is declared in fields.py, made of the facts.
CREATE TABLE field_text (
  blob  INTEGER NOT NULL REFERENCES blob (id),
  field TEXT NOT NULL,                  -- 'camera'
  key   TEXT NOT NULL,                  -- the text without case: what is compared
  text  TEXT NOT NULL,                  -- as it is shown; one spelling for each key of a field
  PRIMARY KEY (blob, field, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX field_text_by_key ON field_text (field, key, text);

-- A number by which bytes are found.
CREATE TABLE field_number (
  blob   INTEGER NOT NULL REFERENCES blob (id),
  field  TEXT NOT NULL,                 -- 'width'
  number REAL NOT NULL,                 -- in the unit of the field
  PRIMARY KEY (blob, field, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX field_number_by_number ON field_number (field, number);

-- Something derived from a blob: disposable, can be made again.
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
CREATE INDEX rendition_by_key ON rendition (key);
CREATE INDEX rendition_on_demand ON rendition (kind, size) WHERE kind IN ('clip', 'frame');

-- A vector in the space of a model; the usearch file is a cache of these rows, keyed by id.
CREATE TABLE embedding (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  blob   INTEGER NOT NULL REFERENCES blob (id),
  model  TEXT NOT NULL,                 -- two models, or int8 and float, never share an id
  at_ns  INTEGER NOT NULL DEFAULT -1,   -- moment in a video; -1: the whole
  vector BLOB NOT NULL,                 -- little-endian float32, unit length
  UNIQUE (blob, model, at_ns)
) STRICT;
CREATE INDEX embedding_by_model ON embedding (model, id);

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

-- An entry of the controlled vocabulary: a directory of by-tag/.
CREATE TABLE term (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE,      -- NFC; names are unique in the whole vocabulary, so any is reachable by name
  broader    INTEGER REFERENCES term (id), -- NULL: a top term
  created_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX term_by_broader ON term (broader);

-- An asset carries a term, says a source. A person's word replaces a rule's, a rule's a model's, never the other way.
CREATE TABLE tagging (
  asset      INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  term       INTEGER NOT NULL REFERENCES term (id),
  source     TEXT NOT NULL CHECK (source IN ('person', 'rule', 'model')),
  confidence REAL NOT NULL,             -- 1.0 for a person
  created_ns INTEGER NOT NULL,
  processor  TEXT NOT NULL DEFAULT '',  -- of a rule or a model: 'auto_tag/2', name and version
  model      TEXT NOT NULL DEFAULT '',  -- of a model: its id, which its weights are part of
  PRIMARY KEY (asset, term)
) STRICT, WITHOUT ROWID;
CREATE INDEX tagging_by_term ON tagging (term, asset);

-- A term that a model proposes for an asset; nobody has judged it yet.
CREATE TABLE proposal (
  asset      INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  term       INTEGER NOT NULL REFERENCES term (id) ON DELETE CASCADE,
  processor  TEXT NOT NULL,             -- 'auto_tag/1': name and version
  confidence REAL NOT NULL,
  created_ns INTEGER NOT NULL,
  model      TEXT NOT NULL DEFAULT '',  -- its id
  PRIMARY KEY (asset, term)
) STRICT, WITHOUT ROWID;
CREATE INDEX proposal_by_term ON proposal (term, asset);

-- A person has judged whether an asset carries a term: no machine proposes or gives it again. How it was judged says
-- tagging; thresholds are learned from those that a model had proposed.
CREATE TABLE judgement (
  asset      INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  term       INTEGER NOT NULL REFERENCES term (id) ON DELETE CASCADE,
  confidence REAL,                      -- of what was proposed; NULL: nothing was
  processor  TEXT NOT NULL,             -- that proposed it; ''
  model      TEXT NOT NULL,
  created_ns INTEGER NOT NULL,
  PRIMARY KEY (asset, term)
) STRICT, WITHOUT ROWID;
CREATE INDEX judgement_by_term ON judgement (term, confidence);

-- Another name of a term, which leads to it wherever its own name would. A term's own name wins over it, and of two
-- terms that share one, the older.
CREATE TABLE term_label (
  term      INTEGER NOT NULL REFERENCES term (id) ON DELETE CASCADE,
  language  TEXT NOT NULL,              -- BCP 47, e.g. 'fr', 'zh-Hant'; '': not told
  name      TEXT NOT NULL,              -- as names of terms are
  preferred INTEGER NOT NULL,           -- 1: what the term is called in that language; 0: a synonym
  PRIMARY KEY (term, language, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX term_label_by_name ON term_label (name, term);

-- What a term means, and when to use it.
CREATE TABLE term_note (
  term     INTEGER NOT NULL REFERENCES term (id) ON DELETE CASCADE,
  language TEXT NOT NULL,               -- as in term_label
  note     TEXT NOT NULL,
  PRIMARY KEY (term, language)
) STRICT, WITHOUT ROWID;

-- What else is said of a term. No row: nothing.
CREATE TABLE term_detail (
  term     INTEGER PRIMARY KEY REFERENCES term (id) ON DELETE CASCADE,
  language TEXT NOT NULL DEFAULT '',    -- of its name
  prompt   TEXT NOT NULL DEFAULT '',    -- the phrase that a model compares with pictures; '': "a photo of a <name>"
  uri      TEXT NOT NULL DEFAULT '',    -- of the concept that it was imported as
  grouping INTEGER NOT NULL DEFAULT 0   -- 1: it only holds others together, and is never proposed
) STRICT;
CREATE INDEX term_detail_by_uri ON term_detail (uri) WHERE uri <> '';

-- Two terms that have to do with each other, and neither is broader.
CREATE TABLE term_relation (
  term  INTEGER NOT NULL REFERENCES term (id) ON DELETE CASCADE,
  other INTEGER NOT NULL REFERENCES term (id) ON DELETE CASCADE,
  PRIMARY KEY (term, other),
  CHECK (term < other)
) STRICT, WITHOUT ROWID;
CREATE INDEX term_relation_by_other ON term_relation (other);

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

-- The change feed: one row for each change, written in the transaction that made it.
CREATE TABLE change (
  seq    INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ns  INTEGER NOT NULL,
  actor  TEXT NOT NULL,                 -- 'fuse', 'cli', 'scan', 'processor:probe', 'upkeep'
  kind   TEXT NOT NULL,                 -- past tense: 'ingested', 'tagged'
  asset  INTEGER,                       -- no reference: the feed outlives its assets
  names  TEXT NOT NULL,                 -- JSON array: names of the asset before and after
  facets TEXT NOT NULL,                 -- JSON array: what the change touches, e.g. 'tag:12'
  detail TEXT NOT NULL                  -- JSON object
) STRICT;

-- When a facet was last touched: the mtime of the places that depend on it.
CREATE TABLE facet (
  name  TEXT PRIMARY KEY,
  at_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A step for a blob. Done rows stay: they say which version of the processor has done it.
CREATE TABLE job (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,
  blob              INTEGER NOT NULL REFERENCES blob (id),
  processor         TEXT NOT NULL,
  processor_version INTEGER NOT NULL,
  priority          INTEGER NOT NULL,   -- lower runs first
  state             TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'done', 'failed')),
  attempts          INTEGER NOT NULL DEFAULT 0,
  due_ns            INTEGER NOT NULL,   -- waiting: not before; leased: end of the lease
  error             TEXT,               -- reason of the last failure, one line
  updated_ns        INTEGER NOT NULL,
  UNIQUE (blob, processor)
) STRICT;
CREATE INDEX job_waiting ON job (priority, id, processor, due_ns) WHERE state = 'waiting'; -- which to lease
CREATE INDEX job_due     ON job (processor, due_ns) WHERE state = 'waiting';               -- whether there is any
CREATE INDEX job_leased  ON job (due_ns) WHERE state = 'leased';
CREATE INDEX job_by_state ON job (state, processor);

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

-- What full-text search finds assets by; a cache: it follows text_due and can be filled again at any time.
-- Terms are not in it: they are looked up by term_text when a query is asked, so that tagging costs nothing here.
CREATE VIRTUAL TABLE asset_text USING fts5 (
  name, folders, comment, fields, transcript, -- rowid: of the asset
  content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);

-- Assets whose texts may have changed since asset_text was filled. Appended by the triggers below, whoever changes a row.
CREATE TABLE text_due (
  id    INTEGER PRIMARY KEY AUTOINCREMENT,
  asset INTEGER NOT NULL                -- no reference: it may be gone, then its text goes as well
) STRICT;
CREATE TRIGGER text_of_new_asset AFTER INSERT ON asset
  BEGIN INSERT INTO text_due (asset) VALUES (new.id); END;
CREATE TRIGGER text_of_asset AFTER UPDATE OF name, blob ON asset WHEN old.name <> new.name OR old.blob IS NOT new.blob
  BEGIN INSERT INTO text_due (asset) VALUES (new.id); END;
CREATE TRIGGER text_of_gone_asset AFTER DELETE ON asset
  BEGIN INSERT INTO text_due (asset) VALUES (old.id); END;
CREATE TRIGGER text_of_new_copy AFTER INSERT ON copy
  BEGIN INSERT INTO text_due (asset) VALUES (new.asset); END;
CREATE TRIGGER text_of_copy AFTER UPDATE OF asset, folder ON copy
  WHEN old.asset <> new.asset OR old.folder <> new.folder
  BEGIN INSERT INTO text_due (asset) VALUES (old.asset), (new.asset); END;
CREATE TRIGGER text_of_gone_copy AFTER DELETE ON copy
  BEGIN INSERT INTO text_due (asset) VALUES (old.asset); END;
CREATE TRIGGER text_of_folder AFTER UPDATE OF name, parent ON folder
  WHEN old.name <> new.name OR old.parent IS NOT new.parent
  BEGIN INSERT INTO text_due (asset) SELECT asset FROM copy WHERE folder IN (
    WITH RECURSIVE below (id) AS (
      SELECT new.id UNION SELECT f.id FROM folder AS f JOIN below AS b ON f.parent = b.id)
    SELECT id FROM below); END;
CREATE TRIGGER text_of_new_remark AFTER INSERT ON remark WHEN new.comment <> ''
  BEGIN INSERT INTO text_due (asset) VALUES (new.asset); END;
CREATE TRIGGER text_of_remark AFTER UPDATE OF comment ON remark WHEN old.comment <> new.comment
  BEGIN INSERT INTO text_due (asset) VALUES (new.asset); END;
CREATE TRIGGER text_of_gone_remark AFTER DELETE ON remark WHEN old.comment <> ''
  BEGIN INSERT INTO text_due (asset) VALUES (old.asset); END;
CREATE TRIGGER text_of_new_fact AFTER INSERT ON fact
  BEGIN INSERT INTO text_due (asset) SELECT id FROM asset WHERE blob = new.blob; END;
CREATE TRIGGER text_of_fact AFTER UPDATE OF facts ON fact WHEN old.facts <> new.facts
  BEGIN INSERT INTO text_due (asset) SELECT id FROM asset WHERE blob = new.blob; END;
CREATE TRIGGER text_of_gone_fact AFTER DELETE ON fact
  BEGIN INSERT INTO text_due (asset) SELECT id FROM asset WHERE blob = old.blob; END;

-- Names by which terms are found by a word, also those in other languages. rowid: of the term.
CREATE VIRTUAL TABLE term_text USING fts5 (
  name, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);
CREATE VIEW term_words (id, words) AS -- the name of each term, and its other names
  SELECT t.id, t.name || coalesce((SELECT group_concat(char(10) || l.name, '') FROM term_label AS l WHERE l.term = t.id), '')
  FROM term AS t;
CREATE TRIGGER text_of_new_term AFTER INSERT ON term
  BEGIN INSERT OR REPLACE INTO term_text (rowid, name) VALUES (new.id, new.name); END;
CREATE TRIGGER text_of_term AFTER UPDATE OF name ON term
  BEGIN INSERT OR REPLACE INTO term_text (rowid, name) SELECT id, words FROM term_words WHERE id = new.id; END;
CREATE TRIGGER text_of_gone_term AFTER DELETE ON term
  BEGIN DELETE FROM term_text WHERE rowid = old.id; END;
CREATE TRIGGER text_of_new_label AFTER INSERT ON term_label
  BEGIN INSERT OR REPLACE INTO term_text (rowid, name) SELECT id, words FROM term_words WHERE id = new.term; END;
CREATE TRIGGER text_of_label AFTER UPDATE OF term, name ON term_label
  BEGIN INSERT OR REPLACE INTO term_text (rowid, name)
    SELECT id, words FROM term_words WHERE id IN (old.term, new.term); END;
CREATE TRIGGER text_of_gone_label AFTER DELETE ON term_label
  BEGIN INSERT OR REPLACE INTO term_text (rowid, name) SELECT id, words FROM term_words WHERE id = old.term; END;

-- A search that a person keeps: a directory of search/.
CREATE TABLE saved_search (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  query    TEXT NOT NULL UNIQUE,        -- as it was written
  saved_ns INTEGER NOT NULL
) STRICT;

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
CREATE INDEX sidecar_by_problem ON sidecar (asset) WHERE problem <> '';

-- An asset of which people say something that its sidecar does not: writing that failed, and is tried again.
CREATE TABLE sidecar_due (
  asset  INTEGER PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE, -- the original
  reason TEXT NOT NULL                  -- why it could not be written, one line
) STRICT;

-- A sidecar that does not stand beside that original any more: what it had said holds again when it does.
CREATE TABLE parted_sidecar (
  asset    INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  original INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  digest   BLOB NOT NULL,
  own      INTEGER NOT NULL,
  said     TEXT NOT NULL,
  problem  TEXT NOT NULL,
  PRIMARY KEY (asset, original)
) STRICT, WITHOUT ROWID;
CREATE INDEX parted_sidecar_by_original ON parted_sidecar (original);

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

-- What a clip is found by, of others that have a moment in common with it (`damfs.core.sequences`).
CREATE TABLE clip_mark (
  value INTEGER NOT NULL,
  blob  INTEGER NOT NULL REFERENCES blob (id) ON DELETE CASCADE,
  PRIMARY KEY (value, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX clip_mark_by_blob ON clip_mark (blob);
