-- The log's entries. key: the first eight bytes of the leaf's hash, by which a repeat is found (and then compared whole).
CREATE TABLE leaf (
    position INTEGER PRIMARY KEY,
    key INTEGER NOT NULL,
    leaf BLOB NOT NULL CHECK (length(leaf) = 73),
    promised_at INTEGER NOT NULL
) STRICT;
CREATE INDEX leaf_by_key ON leaf (key);

-- The tree over all leaves. edge: the roots of its complete subtrees, the largest first, 32 bytes each.
CREATE TABLE head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL,
    edge BLOB NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, x'');

-- The checkpoint that was last signed.
CREATE TABLE checkpoint (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    cosigned_at INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;

-- How many leaves have their tiles on disk.
CREATE TABLE tiles (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL
) STRICT;
INSERT INTO tiles VALUES (1, 0);

-- Roots of full tiles, by the level whose tiles list them.
CREATE TABLE tile_root (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;
