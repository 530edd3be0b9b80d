//! Each target: its corpus, and a slice of a campaign or a whole one (`MILLRACE_FUZZ_SECONDS`).

use std::path::Path;

use millrace_fuzz::{run, targets};

macro_rules! campaigns {
    ($($target:ident),* $(,)?) => {
        $(#[test]
        fn $target() {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
            let report = run(&targets::$target::TARGET, &folder);
            assert!(report.inputs > 0 && report.answers > 1, "{report:?}");
        })*

        /// What is kept for a target that nobody runs proves nothing.
        #[test]
        fn every_folder_of_the_corpus_has_its_target() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
            for entry in std::fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!([$(targets::$target::TARGET.name),*].contains(&name.as_str()), "corpus/{name}");
            }
        }
    };
}

campaigns!(
    bodies,
    inbox,
    events,
    task,
    history,
    part,
    objects,
    names,
    schedule,
    engine,
    command_line,
    invocation,
    http
);
