//! `this-machine`: only a file of this user, plain, private and in time opens the gate.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use ioprofiler::gate::{Gate, GateFile, Inputs, Refusal};

const NOW: u64 = 1_795_430_000;

/// A folder of its own for each test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ioprofiler-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join("gate");
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn check(path: &Path) -> Result<u64, Refusal> {
    GateFile::at(path).check(NOW)
}

#[test]
fn open_holds_until_its_time_and_close_ends_it() {
    let folder = Folder::new("open");
    let file = GateFile::at(folder.0.join("gate"));
    let gate = Gate::this_machine_at(file.clone());
    let is_open = |now| gate.verdict(&Inputs::new(b"", None), now).is_open();
    assert!(!is_open(NOW));
    let path = file.open(8 * 3600, NOW).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert!(is_open(NOW) && is_open(NOW + 8 * 3600 - 1) && !is_open(NOW + 8 * 3600));
    file.open(60, NOW).unwrap();
    assert_eq!(file.check(NOW), Ok(NOW + 60));
    assert_eq!(
        std::fs::read_dir(&folder.0).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    assert_eq!(file.close().unwrap(), [path]);
    assert!(!is_open(NOW));
    assert!(file.close().unwrap().is_empty());
    for life in [0, 86_401] {
        assert!(file.open(life, NOW).is_err());
    }
    assert!(
        GateFile::at(folder.0.join("no/such/folder"))
            .open(60, NOW)
            .is_err()
    );
}

#[test]
fn what_does_not_open() {
    let folder = Folder::new("closed");
    let good = format!("iop1-gate {}\n", NOW + 60);
    let good = good.as_bytes();
    assert_eq!(check(&folder.file(good, 0o600)), Ok(NOW + 60));
    for mode in [0o640, 0o604, 0o620, 0o666, 0o700, 0o400, 0o4600] {
        let found = check(&folder.file(good, mode));
        assert_eq!(found, Err(Refusal::GateFileMode), "{mode:o}");
    }
    assert_eq!(check(&folder.0.join("none")), Err(Refusal::GateFileAbsent));
    assert_eq!(
        check(&folder.0.join("gate/below")),
        Err(Refusal::GateFileAbsent)
    );
    let with_time = |time: u64| format!("iop1-gate {time}\n").into_bytes();
    for (content, reason) in [
        (with_time(NOW), Refusal::GateFileExpired),
        (with_time(0), Refusal::GateFileExpired),
        (with_time(NOW + 86_461), Refusal::GateFileTooLongLived),
        (Vec::new(), Refusal::GateFileMalformed),
        (good[..good.len() - 1].to_vec(), Refusal::GateFileMalformed),
        (good.repeat(2), Refusal::GateFileMalformed),
        (
            b"iop1-gate +1795430060\n".to_vec(),
            Refusal::GateFileMalformed,
        ),
        (b"iop1-gate \xff\n".to_vec(), Refusal::GateFileMalformed),
        (vec![b'9'; 1 << 20], Refusal::GateFileMalformed),
    ] {
        assert_eq!(check(&folder.file(&content, 0o600)), Err(reason));
    }
}

#[test]
fn links_pipes_folders_and_devices_do_not_open() {
    let folder = Folder::new("links");
    let good = folder.file(format!("iop1-gate {}\n", NOW + 60).as_bytes(), 0o600);
    let other = folder.0.join("other");
    symlink(&good, &other).unwrap();
    assert_eq!(check(&other), Err(Refusal::GateFileNotPlain));
    std::fs::remove_file(&other).unwrap();
    std::fs::hard_link(&good, &other).unwrap();
    assert_eq!(check(&other), Err(Refusal::GateFileNotPlain));
    assert_eq!(check(&good), Err(Refusal::GateFileNotPlain));
    assert_eq!(check(&folder.0), Err(Refusal::GateFileNotPlain));
    assert_eq!(
        check(Path::new("/dev/zero")),
        Err(Refusal::GateFileNotPlain)
    );
    let pipe = folder.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(
            check(&pipe),
            Err(Refusal::GateFileNotPlain),
            "and does not hang"
        );
    }
}

#[test]
fn a_file_of_another_user_does_not_open() {
    let folder = Folder::new("foreign");
    let path = folder.file(format!("iop1-gate {}\n", NOW + 60).as_bytes(), 0o600);
    // Only root can give a file away; anybody else can look at one of root's.
    if std::os::unix::fs::chown(&path, Some(54_321), None).is_ok() {
        assert_eq!(check(&path), Err(Refusal::GateFileForeign));
    } else {
        assert_eq!(
            check(Path::new("/etc/passwd")),
            Err(Refusal::GateFileForeign)
        );
    }
}

#[test]
fn open_does_not_write_through_a_link() {
    let folder = Folder::new("through");
    let victim = folder.file(b"precious", 0o644);
    let link = folder.0.join("link");
    symlink(&victim, &link).unwrap();
    GateFile::at(&link).open(60, NOW).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert_eq!(check(&link), Ok(NOW + 60));
}

#[test]
fn the_default_places_are_those_of_this_user() {
    let folder = Folder::new("uid");
    let user = std::fs::metadata(&folder.0).unwrap().uid();
    let paths = GateFile::of_this_user().paths();
    assert_eq!(
        paths[0],
        PathBuf::from(format!("/run/user/{user}/ioprofiler-gate"))
    );
    assert_eq!(
        paths[1],
        PathBuf::from(format!("/var/tmp/ioprofiler-gate-{user}"))
    );
}
