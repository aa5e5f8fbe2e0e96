//! The shipped policies answer what their decision tables say.

#![expect(clippy::expect_used, reason = "a test stops where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use goldfin::model::action::Action;
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

/// Every action stands in the table of `docs/policies.md`, with a type of resource that the schema allows it.
#[test]
fn the_documented_table_names_every_action_and_its_resource() {
    let text = include_str!("../docs/policies.md");
    let mut documented = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with('|') && line.contains("::\"")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, _, actions, resource, _] = cells.as_slice() else { continue };
        let kind = resource.trim_start_matches('`').split("::").next().expect("a type");
        for action in actions.split('`').filter_map(Action::from_name) {
            let probe = format!("permit(principal, action == Action::\"{action}\", resource is {kind});");
            let set = Compiled::new(&[PolicySource { name: "probe".to_owned(), text: probe }]);
            assert!(set.is_ok(), "{action} on {kind}: {set:?}");
            documented.insert(action);
        }
    }
    let missing: Vec<_> = Action::ALL.iter().filter(|action| !documented.contains(action)).collect();
    assert!(missing.is_empty(), "docs/policies.md does not name {missing:?}");
}
