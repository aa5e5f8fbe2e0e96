//! `policy`: the rules in Cedar, what they decide, and turning HCL into them.

mod explain;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::options::Format;
use crate::output::Table;
use crate::session::Session;

/// Work with policies
#[derive(Subcommand, Debug)]
pub enum Policy {
    List(List),
    Read(Read),
    Write(Write),
    Delete(Delete),
    Load(Load),
    Test(Test),
    Explain(explain::Explain),
    Who(Who),
    Convert(Convert),
}

/// List the policies
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin policy list")]
pub struct List {}

/// Print a policy's text
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin policy read support > support.cedar")]
pub struct Read {
    /// Name of the policy
    name: String,
}

/// Put a policy in force
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin policy write support support.cedar\n  goldfin policy write support < support.cedar")]
pub struct Write {
    /// Name of the policy
    name: String,
    /// File with the text; standard input if not given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Delete a policy
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin policy delete support")]
pub struct Delete {
    /// Name of the policy
    name: String,
}

/// Put a folder in force: its *.cedar files replace all policies, or nothing changes
#[derive(Args, Debug)]
#[command(after_long_help = "\
A policy is named after its file. One text that does not parse or validate, and nothing is changed.

Examples:
  goldfin policy test policies/ && goldfin policy load policies/")]
pub struct Load {
    /// Folder with *.cedar files
    folder: PathBuf,
}

/// Run a folder's decision tables against its policies; changes nothing
#[derive(Args, Debug)]
#[command(after_long_help = "\
The policies are FOLDER/*.cedar, the tables FOLDER/decisions/*.toml. Exit code 0: every decision is as the tables say; 2: not.

Example:
  goldfin policy test policies/")]
pub struct Test {
    /// Folder with *.cedar files and a folder `decisions`
    folder: PathBuf,
}

/// List who may do something
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin policy who --action read_secret --path secret/data/db/web")]
pub struct Who {
    #[command(flatten)]
    what: What,
    /// Purpose given with the request
    #[arg(long, value_name = "NAME")]
    purpose: Option<String>,
}

#[derive(Args, Debug)]
struct What {
    /// Action, such as read_secret or decode
    #[arg(long, value_name = "NAME")]
    action: String,
    /// Path of the API it is done to
    #[arg(long, value_name = "PATH", required_unless_present = "resource", conflicts_with = "resource")]
    path: Option<String>,
    /// Entity it is done to, as in a policy
    #[arg(long, value_name = "ENTITY")]
    resource: Option<String>,
}

/// Turn a policy in Vault's HCL into Cedar, and say what could not be said in it
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin policy convert --name web web.hcl > web.cedar")]
pub struct Convert {
    /// Name of the policy, the group that its statements are about
    #[arg(long, value_name = "NAME")]
    name: String,
    /// File with the HCL; standard input if not given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Policy {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::List(List {}) => {
                let data = session.ask(&Ask::list("sys/policies/acl"))?.data();
                session.out.names(&data)
            }
            Self::Read(Read { name }) => {
                let data = session.ask(&Ask::get(format!("sys/policies/acl/{name}")))?.data();
                match session.out.format {
                    Format::Table => session.out.single(&data, "policy"),
                    _ => session.out.show(&data),
                }
            }
            Self::Write(Write { name, file }) => {
                let text = text_of(session, file.as_deref())?;
                let body = Json::object([("policy", text)]);
                session.ask_and_show(&Ask::put(format!("sys/policies/acl/{name}"), body), &format!("in force: {name}"))
            }
            Self::Delete(Delete { name }) => {
                session.ask_and_show(&Ask::delete(format!("sys/policies/acl/{name}")), &format!("deleted: {name}"))
            }
            Self::Load(Load { folder }) => {
                let policies = files(&folder, "cedar")?;
                let count = policies.members().len();
                let ask = Ask::post("sys/policies/load", Json::object([("policies", policies)]));
                session.ask_and_show(&ask, &format!("in force: {count} policies of {}", folder.display()))
            }
            Self::Test(command) => command.run(session),
            Self::Explain(command) => command.run(session),
            Self::Who(command) => command.run(session),
            Self::Convert(command) => command.run(session),
        }
    }
}

impl Test {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let body = Json::object([("policies", files(&self.folder, "cedar")?), ("tables", files(&self.folder.join("decisions"), "toml")?)]);
        let data = session.ask(&Ask::post("sys/policies/test", body))?.data();
        let failures = data.get("failures").map(Json::items).unwrap_or_default();
        let failed = data.u64_of("failed").unwrap_or(failures.len() as u64);
        let columns = [("Table", "table"), ("Case", "case"), ("Expected", "expected"), ("Decided", "decided"), ("Because of", "because")];
        if session.out.format != Format::Table || !failures.is_empty() {
            session.out.present(&data, |_| Table::of_items(failures, &columns))?;
        }
        session.out.say(&format!("{} decisions as expected, {failed} not", data.u64_of("passed").unwrap_or(0)))?;
        if failed > 0 { Err(Failure::Told(2)) } else { Ok(()) }
    }
}

impl Who {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let purpose = self.purpose.map(|purpose| ("purpose", Json::text(purpose)));
        let body = Json::object(self.what.members().into_iter().chain(purpose));
        let data = session.ask(&Ask::post("sys/policies/who", body))?.data();
        session.out.show(&data)
    }
}

impl What {
    fn members(&self) -> Vec<(&'static str, Json)> {
        let path = self.path.as_deref().map(|path| ("path", Json::text(path)));
        let resource = self.resource.as_deref().map(|resource| ("resource", Json::text(resource)));
        [Some(("action", Json::text(self.action.as_str()))), path, resource].into_iter().flatten().collect()
    }
}

impl Convert {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let body = Json::object([("hcl", text_of(session, self.file.as_deref())?), ("name", Json::text(self.name))]);
        let data = session.ask(&Ask::post("sys/policies/convert", body))?.data();
        match session.out.format {
            Format::Table => {
                session.out.single(&data, "policy")?;
                let unsaid = data.get("not_expressed").map(Json::items).unwrap_or_default();
                unsaid.iter().try_for_each(|line| session.out.warn(&format!("not expressed: {}", &*line.plain())))
            }
            _ => session.out.show(&data),
        }
    }
}

fn text_of(session: &mut Session, file: Option<&Path>) -> Result<Json, Failure> {
    let source = match file {
        Some(path) if path != Path::new("-") => Source::File(path.to_owned()),
        _ => Source::Stdin,
    };
    source.text(&mut session.around, "policy").map(Json::Text)
}

/// The texts of a folder's files with that ending, by their names without it.
fn files(folder: &Path, ending: &str) -> Result<Json, Failure> {
    let next = format!("name a folder with *.{ending} files");
    let cannot = |path: &Path, error: std::io::Error| Failure::local(format!("`{}` cannot be read: {error}", path.display()), next.clone());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| cannot(folder, error))? {
        let path = entry.map_err(|error| cannot(folder, error))?.path();
        if path.extension().is_some_and(|found| found == ending) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut members = Vec::new();
    for path in &paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        members.push((name, Json::text(fs::read_to_string(path).map_err(|error| cannot(path, error))?)));
    }
    if members.is_empty() {
        return Err(Failure::local(format!("`{}` holds no *.{ending} file", folder.display()), next.clone()));
    }
    Ok(Json::Object(members))
}
