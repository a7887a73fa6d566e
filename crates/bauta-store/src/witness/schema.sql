-- What the witness has cosigned last of each log. note: the checkpoint with the log's signature alone.
CREATE TABLE log (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32),
    cosigned_at INTEGER NOT NULL CHECK (cosigned_at >= 0),
    note TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Whatever else writes here: no tree gets smaller, none is exchanged for another, and no time goes back.
CREATE TRIGGER log_only_grows BEFORE UPDATE ON log
WHEN NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) OR NEW.cosigned_at < OLD.cosigned_at
BEGIN
    SELECT RAISE(ABORT, 'a witness never goes back');
END;
CREATE TRIGGER log_stays BEFORE DELETE ON log
BEGIN
    SELECT RAISE(ABORT, 'a witness never forgets');
END;
