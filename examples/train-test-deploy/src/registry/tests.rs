use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;
use tempfile::TempDir;

fn registry() -> (TempDir, Registry) {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(folder.path().join("registry")).unwrap();
    (folder, registry)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A date no later write could have, whatever the file system's clock resolution.
fn date_back(path: &Path) {
    File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH).unwrap();
}

fn untouched(path: &Path) -> bool {
    fs::metadata(path).unwrap().modified().unwrap() == UNIX_EPOCH
}

#[test]
fn a_deployed_artifact_is_current_and_reads_back() {
    let (_folder, registry) = registry();
    assert_eq!(registry.current().unwrap(), None);
    let id = registry.deploy(b"abc").unwrap();
    assert_eq!(id.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(registry.current().unwrap().as_ref(), Some(&id));
    assert_eq!(registry.artifact(&id).unwrap(), b"abc");
}

#[test]
fn deploying_twice_is_one_effect() {
    let (_folder, registry) = registry();
    let id = registry.deploy(b"{}").unwrap();
    let files = [registry.artifact_path(&id), registry.pointer()];
    files.iter().for_each(|file| date_back(file));
    assert_eq!(Registry::open(&registry.root).unwrap().deploy(b"{}").unwrap(), id);
    assert!(files.iter().all(|file| untouched(file)), "written again");
    assert_eq!(names(&registry.root), ["current", "models"]);
    assert_eq!(names(&registry.models()), [format!("{id}.json")]);
}

#[test]
fn an_attempt_that_died_before_the_pointer_is_finished_by_the_next() {
    let (_folder, registry) = registry();
    let id = registry.deploy(b"{}").unwrap();
    fs::remove_file(registry.pointer()).unwrap();
    fs::write(registry.models().join(".deploying-debris"), "{").unwrap();
    assert_eq!(registry.deploy(b"{}").unwrap(), id);
    assert_eq!(registry.current().unwrap(), Some(id));
}

#[test]
fn the_pointer_moves_forth_and_back_and_artifacts_stay() {
    let (_folder, registry) = registry();
    let (one, two) = (registry.deploy(b"1").unwrap(), registry.deploy(b"2").unwrap());
    assert_eq!(registry.current().unwrap().as_ref(), Some(&two));
    registry.deploy(b"1").unwrap();
    assert_eq!(registry.current().unwrap().as_ref(), Some(&one));
    assert_eq!(registry.artifact(&two).unwrap(), b"2");
}

#[test]
fn a_reader_never_sees_half_a_deployment() {
    let (_folder, registry) = registry();
    registry.deploy(b"0").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = [b"1", b"2"].map(|artifact| {
            scope.spawn(|| {
                (0..100).try_for_each(|_| registry.deploy(artifact).and(registry.deploy(b"0")).map(drop))
            })
        });
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let id = registry.current().unwrap().expect("the pointer is always there");
                registry.artifact(&id).expect("and names a whole artifact");
                reads += 1;
            }
            reads
        });
        let written = writers.map(|writer| writer.join());
        done.store(true, Ordering::Relaxed); // before any assertion: a failed writer must not leave the reader running
        assert!(written.into_iter().all(|result| matches!(result, Ok(Ok(())))));
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(names(&registry.models()).len(), 3);
}

#[cfg(unix)]
#[test]
fn what_is_deployed_has_the_rights_of_an_ordinary_file() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, registry) = registry();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let ordinary = folder.path().join("ordinary");
    fs::write(&ordinary, "").unwrap();
    let id = registry.deploy(b"{}").unwrap();
    assert_eq!(mode(&registry.artifact_path(&id)), mode(&ordinary));
    assert_eq!(mode(&registry.pointer()), mode(&ordinary));
}

#[test]
fn damage_is_told_with_its_path_and_repaired_by_deploying() {
    let (_folder, registry) = registry();
    let id = registry.deploy(b"{}").unwrap();
    let path = registry.artifact_path(&id);
    fs::write(&path, "{ ").unwrap();
    let error = registry.artifact(&id).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the artifact {} is damaged", path.display())), "{error}");
    fs::write(registry.pointer(), "../../etc/passwd\n").unwrap();
    let error = registry.current().unwrap_err();
    assert_eq!(error.to_string(), format!("the pointer {} names no artifact", registry.pointer().display()));
    registry.deploy(b"{}").unwrap();
    assert_eq!(registry.artifact(&registry.current().unwrap().unwrap()).unwrap(), b"{}");
}

#[test]
fn an_io_error_names_the_path() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Registry::open(&file).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot create {}", file.join("models").display()));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn an_id_is_checked_when_it_is_read() {
    let (_folder, registry) = registry();
    let id = registry.deploy(b"{}").unwrap();
    assert_eq!(serde_json::from_str::<ArtifactId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    assert!(serde_json::from_str::<ArtifactId>(r#""../x""#).is_err());
}
