-- From schema 2 to 3: more kinds of renditions.
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
CREATE INDEX rendition_on_demand ON rendition (kind, size) WHERE kind IN ('clip', 'frame');

CREATE INDEX fact_editor_hash ON fact (json_extract(facts, '$.md5')) WHERE processor = 'editor_hash';
