//! The options that every command has, and what they and the environment come to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::auth_token::AuthToken;
use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// Options of every command that talks to a server.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Connection and output")]
pub struct GlobalOptions {
    /// Server, as https://host:port [env: GOLDFIN_ADDR, VAULT_ADDR; default: https://127.0.0.1:8200]
    #[arg(long, short, global = true, value_name = "URL")]
    pub address: Option<String>,
    /// File with the CA certificates to trust, PEM, instead of the system's [env: GOLDFIN_CACERT, VAULT_CACERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// File with the token to use, readable by its owner only [else: GOLDFIN_TOKEN, VAULT_TOKEN, ~/.goldfin-token]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Namespace to work in [env: GOLDFIN_NAMESPACE, VAULT_NAMESPACE]
    #[arg(long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Say nothing beside the result: no progress, no confirmations
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people: columns, with lines around them on a terminal
    #[default]
    Table,
    /// The `data` of the answer as JSON; numbers keep their digits
    Json,
    /// The same as YAML; text is always quoted
    Yaml,
}

/// Options and environment together.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://host:port`, no slash at the end.
    pub address: String,
    pub ca_cert: Option<PathBuf>,
    pub namespace: Option<String>,
    pub token_file: Option<PathBuf>,
    pub format: Format,
    pub quiet: bool,
}

impl Settings {
    pub fn resolve(options: GlobalOptions, around: &Surroundings) -> Result<Self, Failure> {
        let address = options.address.or_else(|| around.first_of(&["GOLDFIN_ADDR", "VAULT_ADDR"]));
        Ok(Self {
            address: checked_address(address.as_deref().unwrap_or(DEFAULT_ADDRESS))?,
            ca_cert: options.ca_cert.or_else(|| around.first_of(&["GOLDFIN_CACERT", "VAULT_CACERT"]).map(PathBuf::from)),
            namespace: options.namespace.or_else(|| around.first_of(&["GOLDFIN_NAMESPACE", "VAULT_NAMESPACE"])),
            token_file: options.token_file,
            format: options.format,
            quiet: options.quiet,
        })
    }

    /// The token of the file named, of the environment, or of the last `goldfin login`.
    pub fn auth_token(&self, around: &Surroundings) -> Result<Option<AuthToken>, Failure> {
        if let Some(file) = &self.token_file {
            return AuthToken::from_file(file).map(Some);
        }
        if let Some(text) = around.first_of(&["GOLDFIN_TOKEN", "VAULT_TOKEN"]) {
            return AuthToken::new(text).map(Some);
        }
        AuthToken::remembered(around)
    }
}

/// A token travels with every request, so only TLS will do, and nothing but a host and port makes sense.
fn checked_address(address: &str) -> Result<String, Failure> {
    let example = "write it as `https://host:8200`";
    let uri: ureq::http::Uri = address.parse().map_err(|_| Failure::local(format!("the address `{address}` is not a URL"), example))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), _) => Err(Failure::local(
            format!("the address `{address}` has no TLS, and a token would travel in the clear"),
            "use its `https://` address, with `--ca-cert` if its CA is your own",
        )),
        (Some("https"), Some(authority))
            if !authority.as_str().contains('@') && matches!(uri.path(), "" | "/") && uri.query().is_none() =>
        {
            Ok(format!("https://{authority}"))
        }
        _ => Err(Failure::local(format!("the address `{address}` is not that of a server"), example)),
    }
}

const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_tls_and_nothing_but_a_host() {
        assert_eq!(checked_address("https://vault.example:8200/").unwrap(), "https://vault.example:8200");
        assert_eq!(checked_address("https://[::1]:8200").unwrap(), "https://[::1]:8200");
        for bad in [
            "http://vault.example",
            "vault.example:8200",
            "https://u:p@vault.example",
            "https://vault.example/v1",
            "ftp://x",
            "",
            "https://",
        ] {
            assert_eq!(checked_address(bad).unwrap_err().exit_code(), 1, "{bad}");
        }
        assert!(checked_address("http://vault.example").unwrap_err().to_string().contains("in the clear"));
    }
}
