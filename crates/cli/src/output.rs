//! The only place that prints: results on standard output, everything else on standard error.
//!
//! On a terminal a table has lines around it; in a pipe it is plain aligned columns. Text of the server is made harmless for a
//! terminal in tables, JSON and YAML alike; `raw` alone writes bytes as they are, for `--field` and the like.

use std::borrow::Cow;
use std::io::Write;

use comfy_table::ContentArrangement;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use zeroize::Zeroizing;

use crate::document::Json;
use crate::failure::{Failure, on_screen};
use crate::options::Format;
use crate::yaml::yaml;

pub struct Output {
    pub format: Format,
    pub quiet: bool,
    pub stdout: Box<dyn Write>,
    pub stdout_is_terminal: bool,
    pub stderr: Box<dyn Write>,
    pub stderr_is_terminal: bool,
}

/// What a person sees of a document.
pub struct Table {
    pub headers: Vec<&'static str>,
    pub rows: Vec<Vec<Zeroizing<String>>>,
}

impl Table {
    pub fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Zeroizing<String>>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// One row for each member of an object.
    pub fn of_members(document: &Json) -> Self {
        let mut table = Self::new(&["Key", "Value"]);
        for (name, value) in document.members() {
            table.row([cell(name), value.plain()]);
        }
        table
    }

    /// One row for each object of a list, one column for each member named.
    pub fn of_items(items: &[Json], columns: &[(&'static str, &str)]) -> Self {
        let mut table = Self { headers: columns.iter().map(|(header, _)| *header).collect(), rows: Vec::new() };
        for item in items {
            table.row(columns.iter().map(|(_, member)| item.get(member).map_or_else(|| cell(""), Json::plain)));
        }
        table
    }
}

/// A bar on standard error where it is `shown`. `total` is unknown for a stream.
pub fn progress_bar(total: Option<u64>, unit: &'static str, shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{bar:30} {pos}/{len} {msg}, {per_sec}, {eta} left",
        None => "{spinner} {pos} {msg}, {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(unit)
}

pub fn cell(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

impl Output {
    /// The document in the format asked for; `table` says what a person sees of it.
    pub fn present(&mut self, document: &Json, table: impl FnOnce(&Json) -> Table) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.table(&table(document)),
            Format::Json => self.line(&document.pretty()),
            Format::Yaml => self.raw(yaml(document).as_bytes()),
        }
    }

    /// A document of which nothing special is known.
    pub fn show(&mut self, document: &Json) -> Result<(), Failure> {
        match (self.format, document) {
            (Format::Table, Json::Object(members)) if !members.is_empty() => self.table(&Table::of_members(document)),
            (Format::Table, Json::Null) => Ok(()),
            (Format::Table, Json::Object(_)) => Ok(()),
            (Format::Table, Json::List(items)) => items.iter().try_for_each(|item| self.line(&on_screen(&item.plain()))),
            (Format::Table, scalar) => self.line(&on_screen(&scalar.plain())),
            _ => self.present(document, Table::of_members),
        }
    }

    /// The answer to a LIST: one name a line.
    pub fn names(&mut self, document: &Json) -> Result<(), Failure> {
        match (self.format, document.get("keys")) {
            (Format::Table, Some(keys)) => keys.items().iter().try_for_each(|key| self.line(&on_screen(&key.plain()))),
            _ => self.show(document),
        }
    }

    /// One member of a document, as it is, with a line break only on a terminal: what a script puts into a variable or a file.
    pub fn field(&mut self, document: &Json, name: &str) -> Result<(), Failure> {
        let value = document.get(name).ok_or_else(|| {
            let known: Vec<&str> = document.members().iter().map(|(member, _)| member.as_str()).collect();
            Failure::local(format!("the answer has no member `{name}`"), format!("name one of: {}", known.join(", ")))
        })?;
        self.raw(value.plain().as_bytes())?;
        if self.stdout_is_terminal { self.raw(b"\n") } else { Ok(()) }
    }

    /// The one member that matters, on a line of its own. Without a terminal it is written as it is.
    pub fn single(&mut self, document: &Json, name: &str) -> Result<(), Failure> {
        let value = document.get(name).map(Json::plain).unwrap_or_default();
        if self.stdout_is_terminal { self.line(&Zeroizing::new(on_screen(&value))) } else { self.line(&value) }
    }

    /// One line of a result.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.stdout.write_all(text.as_bytes())?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    /// Bytes of a result, as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// What was done, for a person; not part of the result.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        self.warn(text)
    }

    /// What a person must know, `--quiet` or not.
    pub fn warn(&mut self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| Ok(writeln!(self.stderr, "{}", on_screen(line))?))
    }

    pub fn failure(&mut self, failure: &Failure) {
        if !failure.is_silent() {
            // Nobody is left to be told when standard error is gone too.
            let _ = writeln!(self.stderr, "{failure}");
        }
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }

    /// A bar on standard error, on a terminal only. `total` is unknown for a stream.
    pub fn progress(&self, total: Option<u64>, unit: &'static str) -> ProgressBar {
        progress_bar(total, unit, !self.quiet && self.stderr_is_terminal)
    }

    fn table(&mut self, table: &Table) -> Result<(), Failure> {
        if self.stdout_is_terminal {
            let mut drawn = comfy_table::Table::new();
            drawn.load_style(UTF8_FULL_CONDENSED).set_header(table.headers.clone());
            // A terminal that does not know its width says 0, and a cell would get one letter a line.
            if drawn.width().is_some_and(|width| width >= NARROWEST) {
                drawn.set_content_arrangement(ContentArrangement::Dynamic);
            }
            for row in &table.rows {
                drawn.add_row(row.iter().map(|cell| on_screen(cell)));
            }
            return self.line(&Zeroizing::new(drawn.to_string()));
        }
        let rows: Vec<Vec<Cow<'_, str>>> = std::iter::once(table.headers.iter().map(|header| Cow::Borrowed(*header)).collect())
            .chain(table.rows.iter().map(|row| row.iter().map(|cell| Cow::Owned(on_screen(cell))).collect()))
            .collect();
        let widths: Vec<usize> = (0..table.headers.len()).map(|column| width(&rows, column)).collect();
        for row in &rows {
            let mut line = Zeroizing::new(String::new());
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }
}

fn width(rows: &[Vec<Cow<'_, str>>], column: usize) -> usize {
    rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
}

const NARROWEST: u16 = 40;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Screen(Rc<RefCell<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn output(stdout: Box<dyn Write>, stdout_is_terminal: bool) -> Output {
        let stderr = Box::new(std::io::sink());
        Output { format: Format::Table, quiet: false, stdout, stdout_is_terminal, stderr, stderr_is_terminal: false }
    }

    #[test]
    fn a_closed_pipe_ends_it_quietly() {
        let failure = output(Box::new(Broken), false).line("x").unwrap_err();
        assert!(failure.is_silent());
    }

    #[test]
    fn a_terminal_gets_lines_and_nothing_that_commands_it() {
        let screen = Rc::new(RefCell::new(Vec::new()));
        let mut out = output(Box::new(Screen(Rc::clone(&screen))), true);
        let document = Json::object([("synthetic", Json::text("\u{1b}]0;x\u{7}\u{202e}"))]);
        out.show(&document).unwrap();
        out.single(&document, "synthetic").unwrap();
        out.show(&Json::List(vec![Json::text("\u{9b}2J")])).unwrap();
        let text = String::from_utf8(screen.borrow().clone()).unwrap();
        assert!(text.contains('│') && text.contains("\\u{1b}]0;x\\u{7}\\u{202e}"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']));
    }

    #[test]
    fn a_pipe_gets_a_field_byte_for_byte() {
        let screen = Rc::new(RefCell::new(Vec::new()));
        let mut out = output(Box::new(Screen(Rc::clone(&screen))), false);
        out.field(&Json::object([("key", Json::text("-----\u{1b}\n"))]), "key").unwrap();
        assert_eq!(*screen.borrow(), b"-----\x1b\n");
    }
}
