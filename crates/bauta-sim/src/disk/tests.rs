use std::path::PathBuf;

use bauta_store::sqlite::{Database, Schema};

use super::*;

const SCHEMA: Schema = Schema {
    application_id: 7,
    migrations: &["CREATE TABLE t (x INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT"],
};

/// A disk that a folder stands for.
struct Mounted {
    folder: PathBuf,
    disk: Disk,
}

impl Mounted {
    fn new(name: &str, seed: u64) -> Self {
        install();
        let folder =
            std::env::temp_dir().join(format!("bauta-sim-disk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let disk = Disk::new(Chance::new(seed), Image::new());
        mount(&folder, &disk);
        Self { folder, disk }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("t.db")
    }

    /// Writes rows until something fails; how many were acknowledged.
    fn write_rows(&self, rows: u32) -> u32 {
        let Ok(mut database) = Database::open(&self.path(), &SCHEMA) else {
            return 0;
        };
        let mut insert = |x: u32| {
            database.transaction(|transaction| {
                transaction.execute("INSERT INTO t VALUES (?1, zeroblob(3000))", [x])?;
                Ok(())
            })
        };
        (0..rows).take_while(|x| insert(*x).is_ok()).count() as u32
    }

    fn rows(&self) -> u32 {
        let database = Database::open(&self.path(), &SCHEMA).expect("opens");
        let check = |sql| database.connection().query_row(sql, [], |row| row.get(0));
        let sound: String = check("PRAGMA integrity_check").expect("reads");
        assert_eq!(sound, "ok");
        let database = Database::open(&self.path(), &SCHEMA).expect("opens");
        database
            .connection()
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .expect("reads")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.folder);
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_every_operation_and_what_was_not_is_whole_or_absent() {
    let operations = {
        let world = Mounted::new("count", 0);
        assert_eq!(world.write_rows(5), 5);
        world.disk.operations()
    };
    assert!(operations > 20);
    for operation in 0..operations {
        for moment in [Moment::Before, Moment::Middle, Moment::After] {
            let world = Mounted::new("crash", operation * 3 + moment as u64);
            world.disk.crash_at(Some(CrashPoint { operation, moment }));
            let acknowledged = world.write_rows(5);
            assert!(world.disk.is_down() || acknowledged == 5);
            world.disk.crash();
            world.disk.restart();
            let there = world.rows();
            assert!(
                there == acknowledged || there == acknowledged + 1,
                "{operation} {moment:?}: {there} of {acknowledged}"
            );
        }
    }
}

#[test]
fn a_write_that_was_never_synchronised_can_be_lost() {
    let lost = (0..40).any(|seed| {
        let disk = Disk::new(Chance::new(seed), Image::from([("f".into(), vec![1; 4])]));
        disk.write(0, "f", 0, &[2; 4]).expect("written");
        disk.crash();
        disk.image()["f"] == [1; 4]
    });
    assert!(lost);
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_is_half_done() {
    let world = Mounted::new("full", 1);
    assert_eq!(world.write_rows(2), 2);
    world.disk.fill(0..1_000);
    assert_eq!(world.rows_while_full(), 0);
    world.disk.fill(0..0);
    assert_eq!(world.rows(), 2);
}

impl Mounted {
    fn rows_while_full(&self) -> u32 {
        self.write_rows(2)
    }
}

#[test]
fn two_connections_see_each_others_transactions() {
    let world = Mounted::new("shared", 1);
    assert_eq!(world.write_rows(1), 1);
    let reader = Database::open_reader(&world.path()).expect("opens");
    let mut writer = Database::open(&world.path(), &SCHEMA).expect("opens");
    let count = || -> u32 {
        let sql = "SELECT count(*) FROM t";
        let row = reader.connection().query_row(sql, [], |row| row.get(0));
        row.expect("reads")
    };
    assert_eq!(count(), 1);
    let insert = writer.transaction(|transaction| {
        transaction.execute("INSERT INTO t VALUES (9, x'00')", [])?;
        assert_eq!(count(), 1, "not before it is committed");
        Ok(())
    });
    insert.expect("commits");
    assert_eq!(count(), 2);
}
