-- What always holds in a sound catalog. Read by invariants.py, run by `damfs check`.
-- A rule: its name, what holds, what the repair does (or what a person can do), the query that finds violations (one
-- text column, a row for each), the statements that mend them ("mend"), and the blobs to plan jobs for again ("again").
-- "at rest": holds only while no daemon has the library. Their order is the order of repair: what others stand on first.

-- views: made as temporary ones before anything is asked; beside them there are two temporary tables of what lies on
-- the disk: staged (asset), rendition_file (key)

CREATE TEMP VIEW IF NOT EXISTS reached_folder (id) AS
  WITH RECURSIVE reached (id) AS (
    SELECT id FROM folder WHERE parent IS NULL
    UNION SELECT f.id FROM folder AS f JOIN reached AS r ON f.parent = r.id)
  SELECT id FROM reached;

CREATE TEMP VIEW IF NOT EXISTS used_folder (id) AS
  WITH RECURSIVE used (id) AS (
    SELECT folder FROM copy WHERE state = 'present'
    UNION SELECT f.parent FROM folder AS f JOIN used AS u ON f.id = u.id WHERE f.parent IS NOT NULL)
  SELECT id FROM used;

CREATE TEMP VIEW IF NOT EXISTS hidden_folder (id) AS -- damfs's own, at the top of a store, and what is below
  WITH RECURSIVE hidden (id) AS (
    SELECT f.id FROM folder AS f JOIN folder AS top ON top.id = f.parent AND top.parent IS NULL
    WHERE substr(f.name, 1, 1) = x'2e'
    UNION SELECT f.id FROM folder AS f JOIN hidden AS h ON f.parent = h.id)
  SELECT id FROM hidden;

CREATE TEMP VIEW IF NOT EXISTS used_blob (id) AS
  SELECT blob FROM asset WHERE blob IS NOT NULL UNION SELECT blob FROM version UNION SELECT blob FROM copy;

CREATE TEMP VIEW IF NOT EXISTS highest (kind, id) AS -- of the tables whose ids are told to others
  SELECT 'asset', max((SELECT coalesce(max(id), 0) FROM asset), (SELECT coalesce(max(asset), 0) FROM change))
  UNION ALL SELECT 'version', max(id) FROM version
  UNION ALL SELECT 'folder', max(id) FROM folder
  UNION ALL SELECT 'rendition', max(id) FROM rendition
  UNION ALL SELECT 'change', max(seq) FROM change;

CREATE TEMP VIEW IF NOT EXISTS unversioned (asset) AS
  SELECT a.id FROM asset AS a WHERE a.state <> 'receiving'
  AND NOT EXISTS (SELECT 1 FROM version WHERE id = a.version AND asset = a.id);

CREATE TEMP VIEW IF NOT EXISTS gapped (asset) AS -- pruning keeps the first version and the newest: one gap, behind the first
  SELECT asset FROM version WHERE number > 1 GROUP BY asset HAVING max(number) - min(number) + 1 <> count(*);

CREATE TEMP VIEW IF NOT EXISTS unfit_name (kind, id, fitting) AS
  SELECT kind, id, replace(replace(name, '/', '_'), char(0), '_')
  FROM (SELECT 'asset' AS kind, id, name FROM asset UNION ALL SELECT 'term', id, name FROM term)
  WHERE name IN ('', '.', '..') OR instr(name, '/') OR instr(name, char(0)) OR length(CAST(name AS BLOB)) > 255;

CREATE TEMP VIEW IF NOT EXISTS bad_fact (blob, processor) AS
  SELECT blob, processor FROM fact
  WHERE CASE WHEN json_valid(facts) THEN json_type(facts) <> 'object' ELSE 1 END;

CREATE TEMP VIEW IF NOT EXISTS field_value (blob, field) AS
  SELECT blob, field FROM field_text UNION ALL SELECT blob, field FROM field_number;

CREATE TEMP VIEW IF NOT EXISTS bad_rendition (id, blob, key, processor) AS
  SELECT id, blob, key, CASE kind WHEN 'proxy' THEN 'proxy' ELSE 'preview' END FROM rendition
  WHERE CASE WHEN json_valid(detail) THEN json_type(detail) <> 'object' ELSE 1 END;

CREATE TEMP VIEW IF NOT EXISTS bad_vector (id, blob, model) AS -- not of the length that most of its model have
  WITH usual (model, size) AS (
    SELECT model, size FROM (
      SELECT model, length(vector) AS size, row_number() OVER (PARTITION BY model ORDER BY count(*) DESC) AS place
      FROM embedding WHERE length(vector) > 0 AND length(vector) % 4 = 0 GROUP BY model, length(vector))
    WHERE place = 1)
  SELECT id, blob, model FROM embedding WHERE (model, length(vector)) NOT IN (SELECT model, size FROM usual);

CREATE TEMP VIEW IF NOT EXISTS term_circle (term, oldest) AS
  WITH RECURSIVE above (start, id) AS (
    SELECT id, broader FROM term WHERE broader IS NOT NULL
    UNION SELECT a.start, t.broader FROM above AS a JOIN term AS t ON t.id = a.id WHERE t.broader IS NOT NULL)
  SELECT start, min(id) FROM above WHERE start IN (SELECT start FROM above WHERE start = id) GROUP BY start;

CREATE TEMP VIEW IF NOT EXISTS unindexed (id) AS -- not in full-text search, or there without being there; and not due
  SELECT a.id FROM asset AS a WHERE a.id NOT IN (SELECT id FROM asset_text_docsize)
    AND a.id NOT IN (SELECT asset FROM text_due)
  UNION ALL SELECT d.id FROM asset_text_docsize AS d WHERE d.id NOT IN (SELECT id FROM asset)
    AND d.id NOT IN (SELECT asset FROM text_due);

CREATE TEMP VIEW IF NOT EXISTS unindexed_term (id, name) AS -- without a name: it is gone
  SELECT id, name FROM term WHERE id NOT IN (SELECT id FROM term_text_docsize)
  UNION ALL SELECT id, NULL FROM term_text_docsize WHERE id NOT IN (SELECT id FROM term);

CREATE TEMP VIEW IF NOT EXISTS bad_change (seq, kind) AS
  SELECT seq, kind FROM change
  WHERE CASE WHEN json_valid(names) THEN json_type(names) <> 'array' ELSE 1 END
  OR CASE WHEN json_valid(facets) THEN json_type(facets) <> 'array' ELSE 1 END
  OR CASE WHEN json_valid(detail) THEN json_type(detail) <> 'object' ELSE 1 END;

CREATE TEMP VIEW IF NOT EXISTS untimed_facet (name, at_ns) AS
  SELECT j.value, max(c.at_ns)
  FROM change AS c, json_each(CASE WHEN json_valid(c.facets) THEN c.facets ELSE '[]' END) AS j
  WHERE j.type = 'text' AND j.value NOT IN (SELECT name FROM facet) GROUP BY j.value;

CREATE TEMP VIEW IF NOT EXISTS writable_copy (id, asset, state, is_aside) AS -- files of writable stores; 1: in the trash folder
  SELECT c.id, c.asset, c.state, top.parent IS NULL AND f.parent IS NOT NULL AND f.name = CAST('.damfs-trash' AS BLOB)
  FROM copy AS c JOIN store AS s ON s.id = c.store AND s.kind = 'writable'
  JOIN folder AS f ON f.id = c.folder LEFT JOIN folder AS top ON top.id = f.parent;

CREATE TEMP VIEW IF NOT EXISTS misplaced (asset) AS -- their files are not where the state of the asset wants them
  SELECT c.asset FROM writable_copy AS c
  WHERE c.state <> 'missing' AND c.is_aside <> (c.asset IN (SELECT id FROM asset WHERE state = 'trashed'));

-- rule: text-sound
-- holds: the index of full-text search is sound
-- repair: it is emptied, and filled again while the library is mounted
SELECT integrity_check FROM pragma_integrity_check('asset_text') WHERE integrity_check <> 'ok'
UNION ALL SELECT integrity_check FROM pragma_integrity_check('term_text') WHERE integrity_check <> 'ok';
-- mend
INSERT INTO asset_text (asset_text) VALUES ('delete-all');
INSERT INTO term_text (term_text) VALUES ('delete-all');
INSERT INTO term_text (rowid, name) SELECT id, words FROM term_words;
INSERT INTO text_due (asset) SELECT id FROM asset ORDER BY id;

-- rule: integrity
-- holds: the database file is sound, and its indexes agree with its tables
-- repair: the indexes are made anew; what that does not mend takes a backup from state/backups/, or damfs rebuild
SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok';
-- mend
REINDEX;

-- rule: references
-- holds: the bytes, assets, folders and stores that a row refers to are there
-- person: bring the catalog back from state/backups/, or make a new one with damfs rebuild
SELECT printf('%s %s: its %s is gone', f."table", coalesce(f.rowid, '?'), f.parent)
FROM pragma_foreign_key_check AS f WHERE (f."table", f.parent) NOT IN (VALUES -- these have rules of their own
  ('copy', 'folder'), ('copy', 'asset'), ('folder', 'folder'), ('version', 'asset'), ('fact', 'blob'),
  ('rendition', 'blob'), ('embedding', 'blob'), ('job', 'blob'), ('field_text', 'blob'), ('field_number', 'blob'), ('term', 'term'), ('tagging', 'asset'),
  ('tagging', 'term'), ('proposal', 'asset'), ('proposal', 'term'), ('trashed', 'asset'), ('aside', 'copy'),
  ('judgement', 'asset'), ('judgement', 'term'), ('term_label', 'term'), ('term_note', 'term'),
  ('term_detail', 'term'), ('term_relation', 'term'),
  ('trash_name', 'asset'), ('rewrite', 'asset'), ('destination', 'asset'), ('placed', 'copy'),
  ('folder_move', 'folder'), ('file_move', 'copy'));

-- rule: properties
-- holds: the library has an id, and the time it was made
-- repair: a new id is given, and the time of the first store
SELECT 'no ' || column1 FROM (VALUES ('library-id'), ('made-ns')) WHERE column1 NOT IN (SELECT name FROM property);
-- mend
INSERT OR IGNORE INTO property VALUES ('library-id', lower(hex(randomblob(16))));
INSERT OR IGNORE INTO property SELECT 'made-ns', CAST(coalesce(min(created_ns), 0) AS TEXT) FROM store;

-- rule: row-ids
-- holds: an id is never given twice, because inode numbers are made of it
-- repair: the counters go on behind the highest id that was given
SELECT printf('%s %d was given, but the next is %d', h.kind, h.id, coalesce(s.seq, 0) + 1)
FROM highest AS h LEFT JOIN sqlite_sequence AS s ON s.name = h.kind WHERE h.id > coalesce(s.seq, 0);
-- mend
INSERT INTO sqlite_sequence (name, seq)
  SELECT kind, 0 FROM highest WHERE id > 0 AND kind NOT IN (SELECT name FROM sqlite_sequence);
UPDATE sqlite_sequence SET seq = h.id FROM highest AS h WHERE h.kind = sqlite_sequence.name AND h.id > seq;

-- rule: library-store
-- holds: the library has its own writable store
-- repair: the store named "library" becomes it; where there is none: damfs rebuild
SELECT 'there is none'
WHERE NOT EXISTS (SELECT 1 FROM store WHERE name = 'library' AND kind = 'writable' AND root = '');
-- mend
UPDATE store SET kind = 'writable', root = '' WHERE name = 'library';

-- rule: store-root
-- holds: each store has a top folder
-- repair: it is made
SELECT 'store ' || name FROM store WHERE id NOT IN (SELECT store FROM folder WHERE parent IS NULL);
-- mend
INSERT INTO folder (store, parent, name) SELECT id, NULL, x'' FROM store
  WHERE id NOT IN (SELECT store FROM folder WHERE parent IS NULL);

-- rule: copy-folder
-- holds: each file lies in a folder below the top folder of a store
-- repair: the file counts as missing until a scan finds it by its bytes (run damfs scan)
SELECT printf('file %d of asset %d', id, asset) FROM copy WHERE folder NOT IN (SELECT id FROM reached_folder);
-- mend
UPDATE copy SET state = 'missing', name = CAST('lost-' || id AS BLOB),
  folder = (SELECT id FROM folder WHERE store = copy.store AND parent IS NULL)
  WHERE folder NOT IN (SELECT id FROM reached_folder);

-- rule: folder-reached
-- holds: each folder lies below the top folder of a store, in no circle
-- repair: it is forgotten until a scan finds it again
SELECT printf('folder %d', id) FROM folder WHERE id NOT IN (SELECT id FROM reached_folder);
-- mend
DELETE FROM folder WHERE id NOT IN (SELECT id FROM reached_folder);

-- rule: folder-store
-- holds: a folder is of the store that its parent is of
-- repair: it becomes one of the store below whose top folder it lies
SELECT printf('folder %d is of store %d, its parent of store %d', f.id, f.store, p.store)
FROM folder AS f JOIN folder AS p ON p.id = f.parent WHERE f.store <> p.store;
-- mend
WITH RECURSIVE owned (id, store) AS (
    SELECT id, store FROM folder WHERE parent IS NULL
    UNION SELECT f.id, o.store FROM folder AS f JOIN owned AS o ON f.parent = o.id)
  UPDATE folder SET store = o.store FROM owned AS o WHERE o.id = folder.id AND o.store <> folder.store;

-- rule: copy-store
-- holds: a file is of the store that its folder is of
-- repair: it becomes one of its folder's store
SELECT printf('file %d of asset %d', c.id, c.asset)
FROM copy AS c JOIN folder AS f ON f.id = c.folder WHERE c.store <> f.store;
-- mend
UPDATE copy SET store = f.store FROM folder AS f WHERE f.id = copy.folder AND f.store <> copy.store;

-- rule: copy-asset
-- holds: each file is shown as an asset
-- repair: its row is forgotten; a scan finds the file again (run damfs scan)
SELECT printf('file %d: its asset %d is gone', id, asset) FROM copy WHERE asset NOT IN (SELECT id FROM asset);
-- mend
DELETE FROM copy WHERE asset NOT IN (SELECT id FROM asset);

-- rule: folder-live
-- holds: a folder with a file in it or below is listed
-- repair: it is listed
SELECT printf('folder %d', id) FROM folder
WHERE NOT live AND id IN (SELECT id FROM used_folder) AND id NOT IN (SELECT id FROM hidden_folder);
-- mend
UPDATE folder SET live = 1
  WHERE NOT live AND id IN (SELECT id FROM used_folder) AND id NOT IN (SELECT id FROM hidden_folder);

-- rule: version-asset
-- holds: each version is one of an asset
-- repair: it is forgotten
SELECT printf('version %d: its asset %d is gone', id, asset) FROM version WHERE asset NOT IN (SELECT id FROM asset);
-- mend
DELETE FROM version WHERE asset NOT IN (SELECT id FROM asset);

-- rule: asset-version
-- holds: an asset that has arrived has a current version, one of its own
-- repair: the version with its bytes becomes current, and is made where there is none
SELECT printf('asset %d "%s"', id, name) FROM asset WHERE id IN (SELECT asset FROM unversioned);
-- mend
INSERT INTO version (asset, number, blob, mtime_ns, created_ns)
  SELECT a.id, 1 + (SELECT coalesce(max(number), 0) FROM version WHERE asset = a.id), a.blob, a.mtime_ns, a.created_ns
  FROM asset AS a WHERE a.id IN (SELECT asset FROM unversioned)
  AND NOT EXISTS (SELECT 1 FROM version WHERE asset = a.id AND blob = a.blob);
UPDATE asset SET version =
  (SELECT v.id FROM version AS v WHERE v.asset = asset.id AND v.blob = asset.blob ORDER BY v.number DESC LIMIT 1)
  WHERE id IN (SELECT asset FROM unversioned);

-- rule: asset-bytes
-- holds: bytes and size of an asset are those of its current version
-- repair: the version's are taken
SELECT printf('asset %d "%s"', a.id, a.name)
FROM asset AS a JOIN version AS v ON v.id = a.version JOIN blob AS b ON b.id = v.blob
WHERE a.state <> 'receiving' AND v.asset = a.id AND (a.blob IS NOT v.blob OR a.size <> b.size);
-- mend
UPDATE asset SET blob = b.id, size = b.size FROM version AS v JOIN blob AS b ON b.id = v.blob
  WHERE v.id = asset.version AND v.asset = asset.id AND asset.state <> 'receiving'
  AND (asset.blob IS NOT v.blob OR asset.size <> b.size);

-- rule: asset-mtime
-- holds: the time of an asset is that of its current version
-- repair: the asset's, which listings show, is taken
SELECT printf('asset %d "%s"', a.id, a.name) FROM asset AS a JOIN version AS v ON v.id = a.version
WHERE a.state <> 'receiving' AND v.asset = a.id AND a.mtime_ns <> v.mtime_ns;
-- mend
UPDATE version SET mtime_ns = a.mtime_ns FROM asset AS a
  WHERE a.version = version.id AND a.id = version.asset AND a.state <> 'receiving' AND a.mtime_ns <> version.mtime_ns;

-- rule: version-numbers
-- holds: the versions of an asset behind its first are numbered without a gap
-- repair: they are numbered anew, in their order
SELECT printf('asset %d "%s"', id, name) FROM asset WHERE id IN (SELECT asset FROM gapped);
-- mend
UPDATE version SET number = -r.place
  FROM (SELECT id, row_number() OVER (PARTITION BY asset ORDER BY number) AS place
        FROM version WHERE asset IN (SELECT asset FROM gapped)) AS r
  WHERE r.id = version.id;
UPDATE version SET number = -number WHERE number < 0;

-- rule: asset-lost
-- holds: an asset whose files are all gone is missing
-- repair: it counts as missing until a scan finds a file of it
SELECT printf('asset %d "%s"', a.id, a.name) FROM asset AS a
WHERE a.state = 'present' AND NOT EXISTS (SELECT 1 FROM copy WHERE blob = a.blob AND state <> 'missing');
-- mend
UPDATE asset SET state = 'missing'
  WHERE state = 'present' AND NOT EXISTS (SELECT 1 FROM copy AS c WHERE c.blob = asset.blob AND c.state <> 'missing');

-- rule: asset-found
-- holds: an asset with a file is not missing
-- repair: it is present
SELECT printf('asset %d "%s"', a.id, a.name) FROM asset AS a
WHERE a.state = 'missing' AND EXISTS (SELECT 1 FROM copy WHERE blob = a.blob AND state = 'present');
-- mend
UPDATE asset SET state = 'present'
  WHERE state = 'missing' AND EXISTS (SELECT 1 FROM copy AS c WHERE c.blob = asset.blob AND c.state = 'present');

-- rule: asset-name
-- holds: the name of an asset can be that of a file
-- repair: what cannot be in a name becomes _, what is too long is cut, and the number of the asset is added
SELECT printf('asset %d', id) FROM unfit_name WHERE kind = 'asset';
-- mend
UPDATE asset SET name = substr(u.fitting, 1, 50) || '-' || asset.id
  FROM unfit_name AS u WHERE u.kind = 'asset' AND u.id = asset.id;

-- rule: asset-trashed
-- holds: of an asset in the trash it is known since when
-- repair: its retention counts from now on
SELECT printf('asset %d "%s"', id, name) FROM asset WHERE state = 'trashed' AND id NOT IN (SELECT asset FROM trashed);
-- mend
INSERT INTO trashed (asset, at_ns, place)
  SELECT id, CAST(strftime('%s', 'now') AS INTEGER) * 1000000000, '' FROM asset
  WHERE state = 'trashed' AND id NOT IN (SELECT asset FROM trashed);

-- rule: trashed-asset
-- holds: what counts as trashed is an asset in the trash
-- repair: it counts no more
SELECT printf('asset %d', asset) FROM trashed WHERE asset NOT IN (SELECT id FROM asset WHERE state = 'trashed');
-- mend
DELETE FROM trashed WHERE asset NOT IN (SELECT id FROM asset WHERE state = 'trashed');

-- rule: aside-copy
-- holds: what was moved out of the way is a known file
-- repair: where it lay is forgotten
SELECT printf('file %d', copy) FROM aside WHERE copy NOT IN (SELECT id FROM copy);
-- mend
DELETE FROM aside WHERE copy NOT IN (SELECT id FROM copy);

-- rule: aside-folder
-- holds: what was moved out of the way lies in the trash folder of a writable store
-- repair: where it lay before is forgotten, for it lies somewhere else
SELECT printf('file %d', copy) FROM aside WHERE copy IN (SELECT id FROM copy)
AND copy NOT IN (SELECT id FROM writable_copy WHERE is_aside);
-- mend
DELETE FROM aside WHERE copy NOT IN (SELECT id FROM writable_copy WHERE is_aside);

-- rule: trashed-aside
-- holds: the files of an asset in the trash are out of the way, and those of no other asset are
-- repair: they are moved there, or back
-- at rest
SELECT printf('asset %d "%s"', id, name) FROM asset WHERE id IN (SELECT asset FROM misplaced);

-- rule: trash-name
-- holds: what a file manager has in its trash is an asset in the trash
-- repair: the file manager shows it no more
SELECT printf('asset %d "%s"', asset, name) FROM trash_name
WHERE asset NOT IN (SELECT id FROM asset WHERE state = 'trashed');
-- mend
DELETE FROM trash_name WHERE asset NOT IN (SELECT id FROM asset WHERE state = 'trashed');

-- rule: destination-receiving
-- holds: only of a file that is being received it is noted where it will lie
-- repair: the note goes away: the file lies where it lies
SELECT printf('asset %d', asset) FROM destination
WHERE asset NOT IN (SELECT id FROM asset WHERE state = 'receiving');
-- mend
DELETE FROM destination WHERE asset NOT IN (SELECT id FROM asset WHERE state = 'receiving');

-- rule: destination-store
-- holds: a file that is being received will lie in a writable store
-- repair: it will lie under its day
SELECT printf('asset %d', d.asset) FROM destination AS d WHERE d.folder NOT IN (SELECT f.id FROM folder AS f
  JOIN store AS s ON s.id = f.store WHERE s.kind = 'writable');
-- mend
DELETE FROM destination WHERE folder NOT IN (SELECT f.id FROM folder AS f
  JOIN store AS s ON s.id = f.store WHERE s.kind = 'writable');

-- rule: placed-copy
-- holds: only files of a writable store were put where they are through the mount
-- repair: that they were is forgotten
SELECT printf('file %d', copy) FROM placed WHERE copy NOT IN (SELECT id FROM writable_copy);
-- mend
DELETE FROM placed WHERE copy NOT IN (SELECT id FROM writable_copy);

-- rule: folder-move
-- holds: a folder that is being renamed is there, and so is the one that it moves to
-- repair: that it is being renamed is forgotten
SELECT printf('folder %d', folder) FROM folder_move
WHERE folder NOT IN (SELECT id FROM folder) OR parent NOT IN (SELECT id FROM folder);
-- mend
DELETE FROM folder_move
  WHERE folder NOT IN (SELECT id FROM folder) OR parent NOT IN (SELECT id FROM folder);

-- rule: folder-moved
-- holds: no folder is being renamed while nobody serves the library
-- repair: it has the name that it has on the disk
-- at rest
SELECT printf('folder %d', folder) FROM folder_move;

-- rule: file-move
-- holds: a file that is being renamed is there
-- repair: that it is being renamed is forgotten
SELECT printf('file %d', copy) FROM file_move WHERE copy NOT IN (SELECT id FROM copy);
-- mend
DELETE FROM file_move WHERE copy NOT IN (SELECT id FROM copy);

-- rule: file-moved
-- holds: no file is being renamed while nobody serves the library
-- repair: it has its old name again
-- at rest
SELECT printf('file %d', copy) FROM file_move;

-- rule: receiving-staged
-- holds: a file that is being received has its bytes in staging
-- repair: it is found in the store where it was published, or forgotten
-- at rest
SELECT printf('asset %d "%s"', id, name) FROM asset
WHERE state = 'receiving' AND id NOT IN (SELECT asset FROM staged);

-- rule: staged-received
-- holds: bytes in staging are those of a file that is being received, or of one that is being written again
-- repair: they are superfluous, because the asset has arrived, and go away
-- at rest
SELECT 'staging/' || asset FROM staged WHERE asset NOT IN
  (SELECT id FROM asset WHERE state = 'receiving' UNION SELECT asset FROM rewrite);

-- rule: rewrite-staged
-- holds: a file that is being written again has its next bytes in staging
-- repair: they are found in the store where they were published, or the file stays as it was
-- at rest
SELECT printf('asset %d "%s"', r.asset, a.name) FROM rewrite AS r JOIN asset AS a ON a.id = r.asset
WHERE r.asset NOT IN (SELECT asset FROM staged);

-- rule: rewrite-asset
-- holds: only an asset that has arrived is being written again
-- repair: that it was is forgotten
SELECT printf('asset %d', asset) FROM rewrite
WHERE asset NOT IN (SELECT id FROM asset WHERE state <> 'receiving');
-- mend
DELETE FROM rewrite WHERE asset NOT IN (SELECT id FROM asset WHERE state <> 'receiving');

-- rule: blob-used
-- holds: known bytes are those of an asset, a version or a file
-- repair: they are forgotten, with what was derived from them
SELECT printf('blob %d', id) FROM blob WHERE id NOT IN (SELECT id FROM used_blob);
-- mend
DELETE FROM job WHERE blob NOT IN (SELECT id FROM used_blob);
DELETE FROM fact WHERE blob NOT IN (SELECT id FROM used_blob);
DELETE FROM field_text WHERE blob NOT IN (SELECT id FROM used_blob);
DELETE FROM field_number WHERE blob NOT IN (SELECT id FROM used_blob);
DELETE FROM rendition WHERE blob NOT IN (SELECT id FROM used_blob);
DELETE FROM embedding WHERE blob NOT IN (SELECT id FROM used_blob);
DELETE FROM blob WHERE id NOT IN (SELECT id FROM used_blob);

-- rule: fact-blob
-- holds: facts are about known bytes
-- repair: they are forgotten
SELECT printf('%s of blob %d', processor, blob) FROM fact WHERE blob NOT IN (SELECT id FROM blob);
-- mend
DELETE FROM fact WHERE blob NOT IN (SELECT id FROM blob);

-- rule: rendition-blob
-- holds: renditions are of known bytes
-- repair: they are forgotten
SELECT key FROM rendition WHERE blob NOT IN (SELECT id FROM blob);
-- mend
DELETE FROM rendition WHERE blob NOT IN (SELECT id FROM blob);

-- rule: embedding-blob
-- holds: vectors are of known bytes
-- repair: they are forgotten
SELECT printf('%s of blob %d', model, blob) FROM embedding WHERE blob NOT IN (SELECT id FROM blob);
-- mend
DELETE FROM embedding WHERE blob NOT IN (SELECT id FROM blob);

-- rule: job-blob
-- holds: jobs are for known bytes
-- repair: they are forgotten
SELECT printf('%s of blob %d', processor, blob) FROM job WHERE blob NOT IN (SELECT id FROM blob);
-- mend
DELETE FROM job WHERE blob NOT IN (SELECT id FROM blob);

-- rule: job-leased
-- holds: no job is being done while nobody serves the library
-- repair: it waits again
-- at rest
SELECT printf('%s of blob %d', processor, blob) FROM job WHERE state = 'leased';
-- mend
UPDATE job SET state = 'waiting', due_ns = updated_ns WHERE state = 'leased';

-- rule: fact-json
-- holds: facts are a JSON object
-- repair: the processor looks at the bytes again
SELECT printf('%s of blob %d', processor, blob) FROM bad_fact;
-- mend
DELETE FROM job WHERE (blob, processor) IN (SELECT blob, processor FROM bad_fact);
DELETE FROM fact WHERE (blob, processor) IN (SELECT blob, processor FROM bad_fact);
-- again
SELECT blob FROM bad_fact;

-- rule: field-blob
-- holds: values of fields are of known bytes, about which facts are known
-- repair: they are forgotten
SELECT DISTINCT printf('%s of blob %d', field, blob) FROM field_value WHERE blob NOT IN (SELECT blob FROM fact)
OR blob NOT IN (SELECT id FROM blob);
-- mend
DELETE FROM field_text WHERE blob NOT IN (SELECT blob FROM fact) OR blob NOT IN (SELECT id FROM blob);
DELETE FROM field_number WHERE blob NOT IN (SELECT blob FROM fact) OR blob NOT IN (SELECT id FROM blob);

-- rule: rendition-detail
-- holds: what is known of a rendition is a JSON object
-- repair: the rendition is made again
SELECT key FROM bad_rendition;
-- mend
DELETE FROM job WHERE (blob, processor) IN (SELECT blob, processor FROM bad_rendition);
DELETE FROM rendition WHERE id IN (SELECT id FROM bad_rendition);
-- again
SELECT blob FROM bad_rendition;

-- rule: embedding-size
-- holds: all vectors of a model have one length
-- repair: the vector is made again
SELECT printf('%s of blob %d', model, blob) FROM bad_vector;
-- mend
DELETE FROM job WHERE processor IN ('embedding', 'preview') AND blob IN (SELECT blob FROM bad_vector);
DELETE FROM embedding WHERE id IN (SELECT id FROM bad_vector);
-- again
SELECT blob FROM bad_vector;

-- rule: rendition-file
-- holds: each rendition has its file in state/renditions/
-- repair: it is made again
-- at rest
SELECT key FROM rendition WHERE key NOT IN (SELECT key FROM rendition_file);

-- rule: file-rendition
-- holds: each file in state/renditions/ is a rendition
-- repair: the file, which can be made again, goes away
-- at rest
SELECT key FROM rendition_file WHERE key NOT IN (SELECT key FROM rendition);

-- rule: tagging-asset
-- holds: a tag is one of an asset that is there
-- repair: it is forgotten
SELECT printf('asset %d, term %d', asset, term) FROM tagging WHERE asset NOT IN (SELECT id FROM asset);
-- mend
DELETE FROM tagging WHERE asset NOT IN (SELECT id FROM asset);

-- rule: tagging-term
-- holds: a tag is a term of the vocabulary
-- repair: it is forgotten
SELECT printf('asset %d, term %d', asset, term) FROM tagging WHERE term NOT IN (SELECT id FROM term);
-- mend
DELETE FROM tagging WHERE term NOT IN (SELECT id FROM term);

-- rule: remark-asset
-- holds: ratings and comments are of assets that are there
-- repair: they are forgotten
SELECT printf('asset %d', asset) FROM remark WHERE asset NOT IN (SELECT id FROM asset);
-- mend
DELETE FROM remark WHERE asset NOT IN (SELECT id FROM asset);

-- rule: attribute-asset
-- holds: extended attributes are of assets that are there
-- repair: they are forgotten
SELECT printf('asset %d, %s', asset, CAST(name AS TEXT)) FROM attribute WHERE asset NOT IN (SELECT id FROM asset);
-- mend
DELETE FROM attribute WHERE asset NOT IN (SELECT id FROM asset);

-- rule: proposal-asset
-- holds: a proposal is for an asset that is there
-- repair: it is forgotten
SELECT printf('asset %d, term %d', asset, term) FROM proposal WHERE asset NOT IN (SELECT id FROM asset);
-- mend
DELETE FROM proposal WHERE asset NOT IN (SELECT id FROM asset);

-- rule: proposal-term
-- holds: a proposal is a term of the vocabulary that its asset does not carry yet
-- repair: it is forgotten
SELECT printf('asset %d, term %d', asset, term) FROM proposal
WHERE term NOT IN (SELECT id FROM term) OR (asset, term) IN (SELECT asset, term FROM tagging);
-- mend
DELETE FROM proposal WHERE term NOT IN (SELECT id FROM term) OR (asset, term) IN (SELECT asset, term FROM tagging);

-- rule: judgement-rows
-- holds: a judgement is of an asset and a term that are there
-- repair: it is forgotten
SELECT printf('asset %d, term %d', asset, term) FROM judgement
WHERE asset NOT IN (SELECT id FROM asset) OR term NOT IN (SELECT id FROM term);
-- mend
DELETE FROM judgement WHERE asset NOT IN (SELECT id FROM asset) OR term NOT IN (SELECT id FROM term);

-- rule: term-rows
-- holds: labels, notes, details and relations are of terms that are there
-- repair: they are forgotten
SELECT printf('%s of term %d', what, term) FROM (
  SELECT 'label' AS what, term FROM term_label UNION ALL SELECT 'note', term FROM term_note
  UNION ALL SELECT 'detail', term FROM term_detail UNION ALL SELECT 'relation', term FROM term_relation
  UNION ALL SELECT 'relation', other FROM term_relation)
WHERE term NOT IN (SELECT id FROM term);
-- mend
DELETE FROM term_label WHERE term NOT IN (SELECT id FROM term);
DELETE FROM term_note WHERE term NOT IN (SELECT id FROM term);
DELETE FROM term_detail WHERE term NOT IN (SELECT id FROM term);
DELETE FROM term_relation WHERE term NOT IN (SELECT id FROM term) OR other NOT IN (SELECT id FROM term);

-- rule: term-broader
-- holds: a broader term is there
-- repair: the term becomes a top term
SELECT printf('term "%s"', name) FROM term WHERE broader IS NOT NULL AND broader NOT IN (SELECT id FROM term);
-- mend
UPDATE term SET broader = NULL WHERE broader IS NOT NULL AND broader NOT IN (SELECT id FROM term);

-- rule: term-circle
-- holds: no term is broader than itself
-- repair: the oldest term of the circle becomes a top term
SELECT printf('term "%s"', name) FROM term WHERE id IN (SELECT term FROM term_circle);
-- mend
UPDATE term SET broader = NULL WHERE id IN (SELECT oldest FROM term_circle);

-- rule: term-name
-- holds: the name of a term can be that of a directory
-- repair: what cannot be in a name becomes _, what is too long is cut, and the number of the term is added
SELECT printf('term %d', id) FROM unfit_name WHERE kind = 'term';
-- mend
UPDATE term SET name = substr(u.fitting, 1, 50) || '-' || term.id
  FROM unfit_name AS u WHERE u.kind = 'term' AND u.id = term.id;

-- rule: text-complete
-- holds: the texts of each asset, and of no other, are in full-text search, or are going to be
-- repair: they are taken in while the library is mounted, or go away
SELECT printf('asset %d', id) FROM unindexed;
-- mend
INSERT INTO text_due (asset) SELECT id FROM unindexed;

-- rule: term-text
-- holds: full-text search knows each term, and no other
-- repair: it is told of them
SELECT printf('term %d', id) FROM unindexed_term;
-- mend
DELETE FROM term_text WHERE rowid IN (SELECT id FROM unindexed_term WHERE name IS NULL);
INSERT OR REPLACE INTO term_text (rowid, name)
  SELECT id, words FROM term_words WHERE id IN (SELECT id FROM unindexed_term WHERE name IS NOT NULL);

-- rule: change-json
-- holds: what a change touched is told in JSON
-- repair: that part of it is emptied; it only tells of the past
SELECT printf('change %d (%s)', seq, kind) FROM bad_change;
-- mend
UPDATE change SET
  names = CASE WHEN NOT json_valid(names) THEN '[]' WHEN json_type(names) = 'array' THEN names ELSE '[]' END,
  facets = CASE WHEN NOT json_valid(facets) THEN '[]' WHEN json_type(facets) = 'array' THEN facets ELSE '[]' END,
  detail = CASE WHEN NOT json_valid(detail) THEN '{}' WHEN json_type(detail) = 'object' THEN detail ELSE '{}' END
  WHERE seq IN (SELECT seq FROM bad_change);

-- rule: facet-time
-- holds: of all that a change touched it is known when
-- repair: the time of the change is taken
SELECT name FROM untimed_facet;
-- mend
INSERT INTO facet (name, at_ns) SELECT name, at_ns FROM untimed_facet;
