//! The shipped policies answer what their decision tables say.

use std::fs;
use std::path::{Path, PathBuf};

use goldfin::policy::compile::Compiled;
use goldfin::policy::source::PolicySource;
use goldfin::policy::table::Table;

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned()
}

#[test]
fn the_shipped_policies_answer_what_their_tables_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let policies = files(&folder, "cedar");
    let sources: Vec<PolicySource> = policies
        .iter()
        .filter(|path| name(path) != "base")
        .map(|path| PolicySource { name: name(path), text: fs::read_to_string(path).expect("readable") })
        .collect();
    let set = Compiled::new(&sources).unwrap_or_else(|error| panic!("{error}"));
    let tables = files(&folder.join("decisions"), "toml");
    assert_eq!(tables.iter().map(|path| name(path)).collect::<Vec<_>>(), policies.iter().map(|path| name(path)).collect::<Vec<_>>());
    let mut failed = Vec::new();
    for path in &tables {
        let table = Table::read(&fs::read_to_string(path).expect("readable")).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcomes = table.run(&set);
        assert!(!outcomes.is_empty(), "{} holds no case", path.display());
        failed.extend(outcomes.iter().filter(|outcome| !outcome.passed).map(ToString::to_string));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
