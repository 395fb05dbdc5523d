//! Printing: the formats, tables, colours, and pipes that are closed early.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, TableStyle, Width};
use serde::Serialize;

use super::exit::Failure;
use crate::{Error, ErrorKind};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with room: more columns.
    Wide,
    /// One JSON document; fields may be added, never renamed.
    Json,
    /// The same as YAML.
    Yaml,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

/// The way to standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    format: Format,
    terminal: bool,
    colour: bool,
    stderr_colour: bool,
}

impl Out {
    pub(super) fn new(format: Format, choice: ColorChoice) -> Out {
        let terminal = std::io::stdout().is_terminal();
        let coloured = |terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
                terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let stderr_colour = coloured(std::io::stderr().is_terminal());
        Out { format, terminal, colour: coloured(terminal), stderr_colour }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Colours for standard output.
    pub(super) fn paint(&self) -> Paint {
        Paint(self.colour)
    }

    /// Colours for standard error.
    pub(super) fn stderr(&self) -> Paint {
        Paint(self.stderr_colour)
    }

    /// Prints one result: the text for people, or the value itself.
    pub(super) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.line(&text()),
            Format::Json => {
                let text =
                    if self.terminal { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
                self.line(&text.map_err(unprintable)?)
            }
            Format::Yaml => self.raw(serde_norway::to_string(value).map_err(unprintable)?.as_bytes()),
        }
    }

    /// Prints one of many results that come one after another: an object a line, or a document each.
    pub(super) fn event<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.line(&text()),
            Format::Json => self.line(&serde_json::to_string(value).map_err(unprintable)?),
            Format::Yaml => {
                let text = serde_norway::to_string(value).map_err(unprintable)?;
                self.raw(format!("---\n{text}").as_bytes())
            }
        }
    }

    /// Prints a text and ends its line.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut bytes = text.as_bytes().to_vec();
        if !text.is_empty() && !text.ends_with('\n') {
            bytes.push(b'\n');
        }
        self.raw(&bytes)
    }

    /// Prints bytes as they are, at once.
    pub(super) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Says something about the result on standard error.
    pub(super) fn note(&self, text: &str) {
        // Who closed standard error does not want to know.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A table in kubectl's manner: no lines, fitted to the terminal, as wide as it is when piped.
    pub(super) fn table(&self, columns: &[Column]) -> Table {
        let mut table = Table::new();
        table.load_style(TableStyle::new());
        let width = if self.terminal { table.width() } else { None };
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        match width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(columns.iter().map(|column| Cell::new(column.title)));
        for (at, column) in columns.iter().enumerate() {
            let Some(styled) = table.column_mut(at) else { continue };
            styled.set_padding((0, 2));
            styled.set_delimiter(' ');
            match column.kind {
                Kind::Word => {
                    styled.set_constraint(ColumnConstraint::ContentWidth);
                }
                Kind::Number => {
                    styled.set_constraint(ColumnConstraint::ContentWidth);
                    styled.set_cell_alignment(CellAlignment::Right);
                }
                Kind::Text => {
                    // A column of single letters is no help: below this the terminal may fold the lines itself.
                    styled.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(30)));
                }
            }
        }
        table
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Word,
    Number,
    /// Folded when the terminal is narrow.
    Text,
}

impl Column {
    /// Never folded, from the left.
    pub(super) const fn word(title: &'static str) -> Column {
        Column { title, kind: Kind::Word }
    }

    /// Never folded, from the right.
    pub(super) const fn number(title: &'static str) -> Column {
        Column { title, kind: Kind::Number }
    }

    /// Folded when the terminal is narrow.
    pub(super) const fn text(title: &'static str) -> Column {
        Column { title, kind: Kind::Text }
    }
}

/// Names and values below each other, the values in one column.
pub(super) fn list(paint: Paint, rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{}  {value}\n", paint.bold(&format!("{name:width$}")));
    rows.iter().map(line).collect()
}

/// Colours, or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn unprintable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Error(Error::new(ErrorKind::Invalid, "the result cannot be printed in this format").with_source(error))
}
