//! Where values come from: standard input, a file or a prompt; never an argument, which every process of the host can see and
//! the shell remembers.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use zeroize::{Zeroize, Zeroizing};

use crate::document::Json;
use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// `-` or `@FILE`, as written on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Stdin,
    File(PathBuf),
}

impl Source {
    /// `what` is the word for the value in the message; the argument itself is never repeated, it may be a secret.
    pub fn parse(argument: &str, what: &str) -> Result<Self, Failure> {
        match argument.strip_prefix('@') {
            _ if argument == "-" => Ok(Self::Stdin),
            Some(file) if !file.is_empty() => Ok(Self::File(PathBuf::from(file))),
            _ => Err(refused(what)),
        }
    }

    /// Standard input when the option is not there.
    pub fn or_stdin(argument: Option<&str>, what: &str) -> Result<Self, Failure> {
        argument.map_or(Ok(Self::Stdin), |argument| Self::parse(argument, what))
    }

    /// A file is taken byte for byte; of standard input one line break at the end is taken off, because `echo` puts it there.
    pub fn bytes(&self, around: &mut Surroundings, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match self {
            Self::File(path) => {
                let cannot = |error| {
                    Failure::local(format!("`{}` cannot be read: {error}", path.display()), format!("name a file that holds the {what}"))
                };
                read_all(&mut File::open(path).map_err(cannot)?, what)
            }
            Self::Stdin if around.stdin_is_terminal => {
                let mut typed = (around.ask)(&format!("{what}: ")).map_err(|error| {
                    Failure::local(
                        format!("the {what} cannot be asked for: {error}"),
                        "give it on standard input, or in a file with `@FILE`",
                    )
                })?;
                Ok(Zeroizing::new(std::mem::take(&mut *typed).into_bytes()))
            }
            Self::Stdin => {
                let mut bytes = read_all(&mut around.stdin, what)?;
                strip_line_break(&mut bytes);
                Ok(bytes)
            }
        }
    }

    pub fn text(&self, around: &mut Surroundings, what: &str) -> Result<Zeroizing<String>, Failure> {
        let mut bytes = self.bytes(around, what)?;
        as_text(std::mem::take(&mut *bytes), what)
    }

    /// The same to the last line break, for a document.
    pub fn document_text(&self, around: &mut Surroundings, what: &str) -> Result<Zeroizing<String>, Failure> {
        if *self != Self::Stdin || around.stdin_is_terminal {
            return self.text(around, what);
        }
        let mut bytes = read_all(&mut around.stdin, what)?;
        as_text(std::mem::take(&mut *bytes), what)
    }

    /// A value that stands on one line by nature, such as a key share: space around it is an accident.
    pub fn word(&self, around: &mut Surroundings, what: &str) -> Result<Zeroizing<String>, Failure> {
        let text = self.text(around, what)?;
        match text.trim() {
            "" => Err(Failure::local(format!("the {what} is empty"), "give it on standard input, or in a file with `@FILE`")),
            word => Ok(Zeroizing::new(word.to_owned())),
        }
    }

    pub fn document(&self, around: &mut Surroundings, what: &str) -> Result<Json, Failure> {
        let bytes = self.bytes(around, what)?;
        Json::parse(&bytes).map_err(|error| {
            Failure::local(
                format!("the {what} is not JSON at line {}, column {}", error.line, error.column),
                "check it, for example with `jq .`",
            )
        })
    }
}

/// The members of a body: `name=-` and `name=@FILE` each, or one `-` or `@FILE` with a whole JSON object.
pub fn fields(arguments: &[String], around: &mut Surroundings) -> Result<Json, Failure> {
    if let [whole] = arguments
        && (whole == "-" || whole.starts_with('@'))
    {
        let document = Source::parse(whole, "object")?.document(around, "object")?;
        return match document {
            Json::Object(_) => Ok(document),
            _ => Err(Failure::local("what was given is JSON, but not an object", "give an object, such as {\"name\": \"value\"}")),
        };
    }
    let mut members: Vec<(String, Json)> = Vec::new();
    let mut stdin_taken = false;
    for argument in arguments {
        let Some((name, value)) = argument.split_once('=') else { return Err(refused("value")) };
        let source = Source::parse(value, name)?;
        if members.iter().any(|(taken, _)| taken == name) || name.is_empty() {
            return Err(Failure::local("a name is empty or given twice", "give each name once"));
        }
        if source == Source::Stdin && std::mem::replace(&mut stdin_taken, true) {
            return Err(Failure::local(
                "standard input can be only one of the values",
                "put the others into files, or give all of them as JSON with `-`",
            ));
        }
        members.push((name.to_owned(), Json::Text(source.text(around, name)?)));
    }
    Ok(Json::Object(members))
}

/// `name=value` of something that is no secret, such as a label.
pub fn labels(arguments: &[String], option: &str) -> Result<Json, Failure> {
    let split = |argument: &String| argument.split_once('=').map(|(name, value)| (name.to_owned(), Json::text(value)));
    arguments
        .iter()
        .map(|argument| split(argument).ok_or(argument))
        .collect::<Result<_, _>>()
        .map(Json::Object)
        .map_err(|argument| Failure::local(format!("`{option} {argument}` has no `=`"), format!("write it as `{option} name=value`")))
}

fn refused(what: &str) -> Failure {
    Failure::local(
        format!("the {what} is not taken from the command line: other processes can see it there, and the shell remembers it"),
        format!("give the {what} on standard input with `-`, or in a file with `@FILE`; a whole JSON object can come the same way"),
    )
}

fn as_text(bytes: Vec<u8>, what: &str) -> Result<Zeroizing<String>, Failure> {
    String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        Failure::local(format!("the {what} is not UTF-8 text"), "encode it first, for example with `base64`")
    })
}

fn read_all(reader: &mut dyn Read, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    reader
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::local(format!("the {what} cannot be read: {error}"), "check the file or the command before the pipe"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::local(format!("the {what} is larger than 32 MiB, more than a server takes"), "send it in parts"));
    }
    Ok(bytes)
}

fn strip_line_break(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

const LARGEST: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Folder, surroundings};

    #[test]
    fn a_value_as_an_argument_is_refused_without_repeating_it() {
        let failure = fields(&["password=synthetic-hunter".to_owned()], &mut surroundings("")).err().unwrap();
        let text = failure.to_string();
        assert!(text.contains("password") && text.contains("`-`") && text.contains("`@FILE`"));
        assert!(!text.contains("synthetic-hunter"));
        assert!(!fields(&["synthetic-hunter".to_owned()], &mut surroundings("")).err().unwrap().to_string().contains("synthetic-hunter"));
    }

    #[test]
    fn standard_input_loses_one_line_break_and_a_file_none() {
        let folder = Folder::new();
        let path = folder.path().join("value");
        std::fs::write(&path, "of a file\n").unwrap();
        let arguments = [format!("a=@{}", path.display()), "b=-".to_owned()];
        let body = fields(&arguments, &mut surroundings("of stdin\n\r\n")).ok().unwrap();
        assert_eq!(*body.compact(), r#"{"a":"of a file\n","b":"of stdin\n"}"#);
    }

    #[test]
    fn a_whole_object_keeps_its_numbers() {
        let body = fields(&["-".to_owned()], &mut surroundings(r#"{"n": 1.10, "l": ["x"]}"#)).ok().unwrap();
        assert_eq!(*body.compact(), r#"{"n":1.10,"l":["x"]}"#);
        assert!(fields(&["-".to_owned()], &mut surroundings("[1]")).is_err());
        assert!(fields(&["-".to_owned()], &mut surroundings("{,}")).err().unwrap().to_string().contains("line 1, column 2"));
    }

    #[test]
    fn standard_input_is_taken_once() {
        let failure = fields(&["a=-".to_owned(), "b=-".to_owned()], &mut surroundings("x")).err().unwrap();
        assert!(failure.to_string().contains("only one"));
        assert!(fields(&["a=@x".to_owned(), "a=@y".to_owned()], &mut surroundings("")).is_err());
    }
}
