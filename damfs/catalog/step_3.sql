-- From schema 2 to 3: more kinds of renditions; who says a tag, what was judged, and what is said of terms.
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
CREATE INDEX judgement_by_term ON judgement (term, confidence) WHERE confidence IS NOT NULL;

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
