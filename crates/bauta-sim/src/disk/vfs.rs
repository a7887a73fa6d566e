//! SQLite's way to the disks: a virtual file system (<https://sqlite.org/vfs.html>) that stands in for the system's in the
//! whole process, so that roles and wallets open their files as they always do.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr, slice,
    sync::Once,
};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_vfs};

use super::{
    Disk, DiskError, Image,
    registry::disk_of,
    shared::{Busy, Level, REGION_BYTES, Region},
};
use crate::random::Chance;

/// Longest path.
const PATH_BYTES_MAX: c_int = 1_024;

/// Has SQLite use the disks that are mounted, from now on and in the whole process; nothing else can be opened any more.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: SQLite is not used before this, and the option takes one number. What memory is in use is counted under
        // a lock that all threads share, and nobody asks.
        let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite is not in use yet");
        let vfs = Box::leak(Box::new(file_system()));
        // SAFETY: the structure is complete, and lives and stays where it is for ever.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 1) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes the file system");
    });
}

fn file_system() -> sqlite3_vfs {
    sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: PATH_BYTES_MAX,
        pNext: ptr::null_mut(),
        zName: c"bauta-sim".as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_path),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: None,
        xCurrentTimeInt64: Some(current_time_int),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(map_memory),
    xShmLock: Some(lock_memory),
    xShmBarrier: Some(barrier),
    xShmUnmap: Some(unmap_memory),
    xFetch: None,
    xUnfetch: None,
};

/// What SQLite holds of an open file: its own part first, as it asks for.
#[repr(C)]
struct OpenFile {
    base: sqlite3_file,
    handle: *mut Handle,
}

/// One connection's hold on a file.
struct Handle {
    disk: Disk,
    life: u64,
    who: u64,
    name: String,
    /// Pieces of shared memory that SQLite has pointers into.
    regions: Vec<Region>,
    delete_on_close: bool,
}

impl DiskError {
    const fn code(self) -> c_int {
        match self {
            Self::Down => ffi::SQLITE_IOERR,
            Self::Full => ffi::SQLITE_FULL,
            Self::Absent => ffi::SQLITE_IOERR_DELETE_NOENT,
        }
    }
}

fn code(result: Result<(), DiskError>) -> c_int {
    result.map_or_else(DiskError::code, |()| ffi::SQLITE_OK)
}

fn lock_code(result: Result<Result<(), Busy>, DiskError>) -> c_int {
    match result {
        Ok(Ok(())) => ffi::SQLITE_OK,
        Ok(Err(Busy)) => ffi::SQLITE_BUSY,
        Err(error) => error.code(),
    }
}

impl Handle {
    /// Opens a file, which is made if it is to be; one without a name is nobody else's.
    fn open(path: Option<&str>, flags: c_int) -> Result<Self, DiskError> {
        let (disk, name) = match path {
            Some(path) => (disk_of(path).ok_or(DiskError::Absent)?, path.to_owned()),
            None => {
                let nowhere = Disk::new(Chance::new(0), Image::new());
                (nowhere, String::new())
            }
        };
        let mut state = disk.state();
        state.check(state.life)?;
        if !state.files.contains_key(&name) {
            if flags & ffi::SQLITE_OPEN_CREATE == 0 {
                return Err(DiskError::Absent);
            }
            state.files.entry(name.clone()).or_default();
            super::mark(&name);
        }
        state.handles += 1;
        let (life, who) = (state.life, state.handles);
        drop(state);
        Ok(Self {
            disk,
            life,
            who,
            name,
            regions: Vec::new(),
            delete_on_close: flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0,
        })
    }

    /// Looks at the file or changes what connections share of it.
    fn with<R>(&self, act: impl FnOnce(&mut super::FileState) -> R) -> Result<R, DiskError> {
        let mut state = self.disk.state();
        state.check(self.life)?;
        let file = state.files.get_mut(&self.name).ok_or(DiskError::Absent)?;
        Ok(act(file))
    }

    /// Copies what there is; how many bytes there were.
    fn read(&self, at: usize, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.with(|file| {
            let there = file.content.get(at..).unwrap_or_default();
            let count = there.len().min(buffer.len());
            buffer[..count].copy_from_slice(&there[..count]);
            count
        })
    }

    fn close(self) {
        let _dead = self.with(|file| {
            file.locks.unlock(self.who, Level::None);
            file.memory.leave(self.who);
        });
        if self.delete_on_close {
            let _dead = self.disk.remove(self.life, &self.name, false);
        }
    }
}

/// The handle behind SQLite's pointer.
///
/// # Safety
/// `file` is one that [`open`] has filled and [`close`] has not seen, and nobody else uses it at the time: SQLite calls
/// the methods of one file from one thread at a time.
unsafe fn handle<'a>(file: *mut sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` made the handle from a box, `close` alone frees it, and the caller has it for itself.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

/// A path that SQLite passes.
///
/// # Safety
/// `path` is null or ends with a zero byte, and lives as long as the answer is used.
unsafe fn text<'a>(path: *const c_char) -> Option<&'a str> {
    if path.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(path) }.to_str().ok()
}

/// What SQLite counts with a sign.
fn index(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(0)
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a path, room for `szOsFile` bytes, and null or a place for the flags.
    unsafe {
        (*file).pMethods = ptr::null();
        match Handle::open(text(path), flags) {
            Ok(handle) => {
                let open = file.cast::<OpenFile>();
                (*open).handle = Box::into_raw(Box::new(handle));
                (*open).base.pMethods = &raw const METHODS;
                if !flags_out.is_null() {
                    *flags_out = flags;
                }
                ffi::SQLITE_OK
            }
            Err(_) => ffi::SQLITE_CANTOPEN,
        }
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite passes a path.
    let Some(path) = (unsafe { text(path) }) else {
        return ffi::SQLITE_IOERR;
    };
    let Some(disk) = disk_of(path) else {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    };
    let life = disk.state().life;
    code(disk.remove(life, path, sync != 0))
}

unsafe extern "C" fn access(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    _: c_int,
    there: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a path and a place for the answer.
    unsafe {
        let path = text(path).unwrap_or_default();
        let is_there = disk_of(path).is_some_and(|disk| disk.state().files.contains_key(path));
        *there = c_int::from(is_there);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_path(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a path, and room for so many bytes.
    unsafe {
        let path = CStr::from_ptr(path).to_bytes_with_nul();
        if path.len() > index(length) {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(path.as_ptr().cast(), out, path.len());
    }
    ffi::SQLITE_OK
}

/// SQLite's own chance goes into the salts of write-ahead logs only, on which nothing in a run depends.
unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite passes room for so many bytes.
    let out = unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), index(length)) };
    for (place, byte) in (1_u8..=u8::MAX).cycle().zip(out) {
        *byte = place.wrapping_mul(151);
    }
    length
}

/// Who waits for a lock waits for nobody here: all connections of a node work on one thread.
unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = 2_461_000.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_int(_: *mut sqlite3_vfs, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = 212_630_443_200_000 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: `open` made the handle from a box; SQLite does not use the file again.
    let handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    handle.close();
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: an open file, and room for so many bytes.
    let (handle, buffer) = unsafe {
        let buffer = slice::from_raw_parts_mut(buffer.cast::<u8>(), index(length));
        (handle(file), buffer)
    };
    match handle.read(index(at), buffer) {
        Ok(count) if count == buffer.len() => ffi::SQLITE_OK,
        Ok(count) => {
            buffer[count..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(error) => error.code(),
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: an open file, and so many bytes.
    let (handle, bytes) = unsafe {
        let bytes = slice::from_raw_parts(bytes.cast::<u8>(), index(length));
        (handle(file), bytes)
    };
    let written = handle
        .disk
        .write(handle.life, &handle.name, index(at), bytes);
    code(written)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    code(handle.disk.resize(handle.life, &handle.name, index(length)))
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    code(handle.disk.synchronise(handle.life, &handle.name))
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: an open file, and a place for the answer.
    let handle = unsafe { handle(file) };
    match handle.with(|file| file.content.len()) {
        Ok(length) => {
            // SAFETY: as above.
            unsafe { *out = sqlite3_int64::try_from(length).unwrap_or(sqlite3_int64::MAX) };
            ffi::SQLITE_OK
        }
        Err(error) => error.code(),
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let level = Level::from_number(level);
    lock_code(handle.with(|file| file.locks.lock(handle.who, level)))
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let level = Level::from_number(level);
    code(handle.with(|file| file.locks.unlock(handle.who, level)))
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file, and a place for the answer.
    unsafe {
        let reserved = handle(file).with(|file| file.locks.is_reserved());
        *out = c_int::from(reserved.unwrap_or(false));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    super::SECTOR_BYTES as c_int
}

/// As the file system of Unix says of itself: a write that is cut off damages nothing outside of what it was to write.
unsafe extern "C" fn characteristics(_: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn map_memory(
    file: *mut sqlite3_file,
    number: c_int,
    length: c_int,
    make: c_int,
    out: *mut *mut c_void,
) -> c_int {
    if index(length) != REGION_BYTES {
        return ffi::SQLITE_IOERR_SHMMAP;
    }
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let (who, number) = (handle.who, index(number));
    let region = handle.with(|file| file.memory.region(who, number, make != 0));
    let region = match region {
        Ok(region) => region,
        Err(error) => return error.code(),
    };
    let address = region.as_ref().map_or(ptr::null_mut(), |region| {
        region.as_ptr().cast_mut().cast::<c_void>()
    });
    handle.regions.extend(region);
    // SAFETY: a place for the answer. The words can be written through a shared pointer because they are atomics, and the
    // handle keeps them for as long as SQLite may use the address.
    unsafe { *out = address };
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock_memory(
    file: *mut sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let slots = index(first)..index(first + count);
    let is_exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    lock_code(handle.with(|file| {
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            file.memory.unlock(handle.who, slots);
            Ok(())
        } else {
            file.memory.lock(handle.who, slots, is_exclusive)
        }
    }))
}

unsafe extern "C" fn barrier(_: *mut sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn unmap_memory(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file, whose addresses of shared memory SQLite has given up.
    let handle = unsafe { handle(file) };
    let _dead = handle.with(|file| file.memory.leave(handle.who));
    handle.regions.clear();
    ffi::SQLITE_OK
}
