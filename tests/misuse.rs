//! What the compiler refuses: one file per guarantee, each with the error that it must give. The files are compiled
//! against the libraries that the tests are linked with: a project of their own would compile every crate once more.
//! `MISUSE=overwrite` writes the errors anew.
#![cfg(test)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn misuse_does_not_compile() {
    let libraries = libraries();
    let overwrite = std::env::var("MISUSE").is_ok_and(|word| word == "overwrite");
    let mut wrong = String::new();
    let sources = sources();
    assert!(!sources.is_empty(), "there is nothing in tests/misuse");
    for path in sources {
        let expected = path.with_extension("stderr");
        let name = path.file_name().unwrap().to_string_lossy();
        match errors(&path, &libraries) {
            None => wrong += &format!("\n{name} compiles\n"),
            Some(errors) if overwrite => fs::write(expected, errors).unwrap(),
            Some(errors) if fs::read_to_string(expected).ok().as_ref() == Some(&errors) => {}
            Some(errors) => wrong += &format!("\n{name} gives another error than the one beside it:\n{errors}"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join("tests/misuse")).unwrap();
    let mut paths: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    paths.sort();
    paths
}

/// Where the compiled libraries are, by name: asked of cargo, for which all is there already when the tests run.
fn libraries() -> HashMap<String, PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--workspace", "--test=misuse", "--locked", "--message-format=json"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8(built.stdout).unwrap();
    let artifacts = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    artifacts.filter(|artifact| artifact["profile"]["test"] == false).filter_map(library).collect()
}

fn library(artifact: Value) -> Option<(String, PathBuf)> {
    let files = artifact["filenames"].as_array()?;
    let file = files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".rlib"))?;
    Some((artifact["target"]["name"].as_str()?.replace('-', "_"), file.into()))
}

/// The errors that compiling a file gives, or nothing if it compiles.
fn errors(path: &Path, libraries: &HashMap<String, PathBuf>) -> Option<String> {
    let program = std::env::current_exe().unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args(["--edition=2024", "--emit=metadata", "--error-format=json", "--diagnostic-width=140", "--allow=dead_code", "-o"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("misuse"))
        .arg("-L")
        .arg(format!("dependency={}", program.parent().unwrap().display()));
    for name in ["goldfin", "goldfin_crypto", "serde", "serde_json"] {
        rustc.arg("--extern").arg(format!("{name}={}", libraries[name].display()));
    }
    let compiled = rustc.arg(path.strip_prefix(ROOT).unwrap()).current_dir(ROOT).output().unwrap();
    if compiled.status.success() {
        return None;
    }
    let messages = String::from_utf8(compiled.stderr).unwrap();
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let errors = messages.filter(|message| message["level"] == "error" && message["spans"] != serde_json::json!([]));
    Some(errors.map(|message| without_places(message["rendered"].as_str().unwrap().trim_end()) + "\n").collect())
}

/// Without what changes when other lines, other crates or the compiler's folders do.
fn without_places(rendered: &str) -> String {
    let changes = [
        (r"(?m)^ *\d* *(-->|:::|\||=)", "  $1"),
        (r"(?m)^(  (?:-->|:::) .*?)(?::\d+)*$", "$1"),
        (r"(?m)^ {4,}", "    "),
        (r"/\S*/registry/src/[^/]+/([\w-]+?)-\d[^/]*/", "$$CARGO/$1/"),
        (r"/\S*/library/", "$$RUST/library/"),
        (r"and \d+ others", "and others"),
    ];
    let mut text = rendered.to_owned();
    for (pattern, by) in changes {
        text = Regex::new(pattern).unwrap().replace_all(&text, by).into_owned();
    }
    text
}
