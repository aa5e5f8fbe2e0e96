//! The shape of the command line itself.

use clap::{Command, CommandFactory, Parser};

use crate::fixture::{Cli, run};

#[test]
fn clap_finds_no_fault() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_has_an_example() {
    fn visit(command: &Command, path: &str, count: &mut usize) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} has no description");
        if !command.has_subcommands() {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(path.trim_start_matches("goldfin")), "{path} has no example of itself");
            *count += 1;
        }
        command.get_subcommands().for_each(|command| visit(command, &path, count));
    }
    let mut count = 0;
    Cli::command().get_subcommands().for_each(|command| visit(command, "goldfin", &mut count));
    assert!(count > 45, "{count}");
}

#[test]
fn no_option_takes_a_token_or_a_value_of_a_secret() {
    for arguments in
        [&["goldfin", "--token", "x", "status"][..], &["goldfin", "login", "--token", "x"], &["goldfin", "login", "synthetic-token"]]
    {
        assert!(Cli::try_parse_from(arguments).is_err(), "{arguments:?}");
    }
    let run = run(&["kv", "put", "a", "password=synthetic-value"], "", vec![]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("`-`") && !run.err.contains("synthetic-value"), "{}", run.err);
}

#[test]
fn options_stand_before_or_after_the_command() {
    for arguments in [&["goldfin", "--format", "json", "status"][..], &["goldfin", "status", "--format", "json"]] {
        assert_eq!(Cli::try_parse_from(arguments).unwrap().options.format, crate::Format::Json);
    }
}

#[test]
fn wrong_use_is_exit_code_1_and_help_is_0() {
    let code = |arguments: &[&str]| u8::from(Cli::try_parse_from(arguments).unwrap_err().use_stderr());
    assert_eq!(code(&["goldfin", "kv", "gte"]), 1);
    assert_eq!(code(&["goldfin", "kv", "--help"]), 0);
}

#[test]
fn offline_verification_is_left_to_the_binary() {
    let parse = |arguments: &[&str]| Cli::try_parse_from([&["goldfin", "audit", "verify"], arguments].concat()).unwrap().command;
    assert_eq!(parse(&[]).offline_verification(), None);
    let offline =
        parse(&["--database", "postgresql://auditor@db/goldfin", "--public-key", "k", "--checkpoint", "c"]).offline_verification().unwrap();
    assert_eq!(offline.ledger, crate::OfflineLedger::Database("postgresql://auditor@db/goldfin".to_owned()));
    assert_eq!(offline.checkpoints.len(), 1);
    assert_eq!(run(&["audit", "verify", "--archive", "folder"], "", vec![]).code, 4);
}
