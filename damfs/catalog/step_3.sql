-- Beside them: sidecars; near duplicates.
-- From schema 2 to 3: more kinds of renditions; who says a tag, what was judged, and what is said of terms.
-- From schema 2 to 3: more kinds of renditions; full-text search, saved searches.
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

DROP INDEX tagging_by_term;
ALTER TABLE tagging RENAME TO tagging_of_2;
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
INSERT INTO tagging (asset, term, source, confidence, created_ns)
  SELECT asset, term, source, confidence, created_ns FROM tagging_of_2;
DROP TABLE tagging_of_2;
CREATE INDEX tagging_by_term ON tagging (term, asset);

ALTER TABLE proposal RENAME TO proposal_of_2;
CREATE TABLE proposal (
  asset      INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
  term       INTEGER NOT NULL REFERENCES term (id) ON DELETE CASCADE,
  processor  TEXT NOT NULL,             -- 'auto_tag/1': name and version
  confidence REAL NOT NULL,
  created_ns INTEGER NOT NULL,
  model      TEXT NOT NULL DEFAULT '',  -- its id
  PRIMARY KEY (asset, term)
) STRICT, WITHOUT ROWID;
INSERT INTO proposal (asset, term, processor, confidence, created_ns)
  SELECT asset, term, processor, confidence, created_ns FROM proposal_of_2;
DROP TABLE proposal_of_2;
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
INSERT INTO text_due (asset) SELECT id FROM asset ORDER BY id;
INSERT INTO term_text (rowid, name) SELECT id, words FROM term_words;
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
CREATE INDEX rendition_on_demand ON rendition (kind, size) WHERE kind IN ('clip', 'frame');

CREATE INDEX fact_editor_hash ON fact (json_extract(facts, '$.md5')) WHERE processor = 'editor_hash';
