//! The commands of the prompt: their names, arguments and meanings in one table.

use std::time::Duration;

use strsim::osa_distance;

use super::completion::CommandWord;
use crate::error::{Error, Result};

/// A command as the list of them shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandEntry {
    /// The name, without the backslash.
    pub(super) name: &'static str,
    /// The arguments: `FILE`, or `[PATTERN]` if they may be left out.
    pub(super) arguments: &'static str,
    /// The meaning, in a phrase.
    pub(super) about: &'static str,
}

const fn entry(name: &'static str, arguments: &'static str, about: &'static str) -> CommandEntry {
    CommandEntry {
        name,
        arguments,
        about,
    }
}

/// Headings, each with its commands, in the order of the list.
pub(super) const COMMANDS: &[(&str, &[CommandEntry])] = &[
    (
        "Look around",
        &[
            entry("d", "", "tables and views"),
            entry(
                "d",
                "TABLE [PATTERN]",
                "columns with type, share of values, an example and meaning",
            ),
            entry("df", "[PATTERN]", "functions"),
            entry(
                "record",
                "N",
                "the whole record of row N of the last answer",
            ),
            entry(
                "timeline",
                "IDENTIFIER",
                "all that happened to a cluster, instance or snapshot; an ARN or resource ID will do",
            ),
            entry("source", "", "sources, and the memory that holds columns"),
            entry(
                "source",
                "PLACE... [AS NAME]",
                "add sources to the table events, or as a table of that name; -PLACE or -NAME removes",
            ),
        ],
    ),
    (
        "Ask",
        &[
            entry(
                "g",
                "[FILE]",
                "run the statement, or the last one again; write the rows to a file",
            ),
            entry("gx", "", "the same, with a list for each row"),
            entry("watch", "[SECONDS]", "run it again and again, until Ctrl-C"),
            entry(
                "explain",
                "[STATEMENT]",
                "the plan of a statement, or of the last one",
            ),
            entry(
                "e",
                "[FILE]",
                "edit the last statement, or a file, in $EDITOR and run it",
            ),
            entry("i", "FILE", "run the statements of a file"),
            entry("save", "NAME", "keep the last statement under a name"),
            entry(
                "queries",
                "[NAME]",
                "list the statements that are kept, or run one",
            ),
        ],
    ),
    (
        "See",
        &[
            entry(
                "x",
                "[on|off|auto]",
                "a list for each row; auto: if the columns do not fit",
            ),
            entry(
                "format",
                "[FORMAT]",
                "table, csv, tsv, json, ndjson or markdown",
            ),
            entry(
                "o",
                "[FILE]",
                "write all further answers to a file; without one, to the screen again",
            ),
            entry(
                "tz",
                "[ZONE]",
                "the zone that times are shown in: Europe/Paris",
            ),
            entry("timing", "[on|off]", "how long each statement took"),
        ],
    ),
    (
        "The rest",
        &[
            entry("?", "", "this list"),
            entry("q", "", "leave; so do exit, quit and Ctrl-D"),
        ],
    ),
];

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Describe {
        table: Option<String>,
        pattern: Option<String>,
    },
    Functions {
        pattern: Option<String>,
    },
    Record(usize),
    Timeline(String),
    Source(String),
    /// Runs the statement; `to` is a file for its rows.
    Go {
        to: Option<String>,
        expanded: bool,
    },
    Watch(Duration),
    Explain(Option<String>),
    Edit(Option<String>),
    Include(String),
    Save(String),
    Queries(Option<String>),
    /// The new state, by its word; `None` for the other one than now.
    Expanded(Option<String>),
    Format(Option<String>),
    Output(Option<String>),
    Zone(Option<String>),
    Timing(Option<bool>),
    Help,
    Quit,
}

impl Command {
    /// Parses a command, given without its backslash.
    ///
    /// # Errors
    /// Query errors: the nearest commands to one that is unknown, and the arguments that are expected.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let line = line.trim().trim_end_matches(';').trim_end();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let optional = || (!rest.is_empty()).then(|| unquoted(rest));
        let required = || optional().ok_or_else(|| expects(name));
        let file = || optional().map(|path| with_home(&path));
        Ok(match name {
            "d" | "dt" | "dv" | "d+" => {
                let (table, pattern) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let given = |text: &str| (!text.is_empty()).then(|| text.trim().to_owned());
                Self::Describe {
                    table: given(table),
                    pattern: given(pattern),
                }
            }
            "df" => Self::Functions {
                pattern: optional(),
            },
            "record" => Self::Record(rest.parse().map_err(|_| expects(name))?),
            "timeline" => Self::Timeline(required()?),
            "source" | "sources" => Self::Source(rest.to_owned()),
            "g" => Self::Go {
                to: file(),
                expanded: false,
            },
            "gx" => Self::Go {
                to: file(),
                expanded: true,
            },
            "watch" => Self::Watch(seconds(rest)?),
            "explain" => Self::Explain(optional()),
            "e" | "edit" => Self::Edit(file()),
            "i" => Self::Include(with_home(&required()?)),
            "save" => Self::Save(required()?),
            "queries" => Self::Queries(optional()),
            "x" => Self::Expanded(optional()),
            "format" => Self::Format(optional()),
            "o" => Self::Output(file()),
            "tz" => Self::Zone(optional()),
            "timing" => Self::Timing(switch(rest)?),
            "?" | "h" | "help" => Self::Help,
            "q" | "quit" | "exit" => Self::Quit,
            _ => return Err(unknown(name)),
        })
    }

    /// Returns whether the command is about the statement before it, so that it may end one. Others
    /// leave the statement to be gone on with, as in psql.
    pub(super) fn is_about_statement(&self) -> bool {
        matches!(
            self,
            Self::Go { .. }
                | Self::Watch(_)
                | Self::Explain(None)
                | Self::Edit(None)
                | Self::Save(_)
        )
    }
}

/// Returns every command once, for completion and suggestions.
pub(super) fn entries() -> impl Iterator<Item = &'static CommandEntry> {
    COMMANDS.iter().flat_map(|(_, entries)| entries.iter())
}

/// Returns the commands for completion: each once, with the arguments of all its forms.
pub(super) fn words() -> Vec<CommandWord> {
    let mut words: Vec<CommandWord> = Vec::new();
    for entry in entries() {
        let name = format!("\\{}", entry.name);
        match words.last_mut().filter(|word| word.name == name) {
            Some(word) => word.arguments = format!("[{}]", entry.arguments),
            None => words.push(CommandWord {
                name,
                arguments: entry.arguments.to_owned(),
                about: entry.about.to_owned(),
            }),
        }
    }
    words
}

/// Returns the list of commands, aligned, as `\?` shows it.
pub(super) fn help() -> String {
    let usage = |entry: &CommandEntry| format!("\\{} {}", entry.name, entry.arguments);
    let width = entries().map(|entry| usage(entry).len()).max();
    let width = width.unwrap_or_default() + 2;
    let mut text = String::new();
    for (heading, entries) in COMMANDS {
        text.push_str(heading);
        text.push('\n');
        for entry in *entries {
            let usage = usage(entry);
            text.push_str(&format!("  {usage:width$}{}\n", entry.about));
        }
    }
    text.push_str(
        "\nA statement ends with ; and may go over many lines. Tab completes names, paths and values.\n\
         The last answer is the table _ (SELECT * FROM _). Ctrl-C ends a statement, Ctrl-R searches\n\
         the history; a statement that starts with a blank is not kept there.\n",
    );
    text
}

fn expects(name: &str) -> Error {
    let arguments: Vec<&str> = entries()
        .filter(|entry| entry.name == name && !entry.arguments.is_empty())
        .map(|entry| entry.arguments)
        .collect();
    Error::query(format!("expected \\{name} {}", arguments.join(" or ")))
}

fn unknown(name: &str) -> Error {
    let typed = name.to_lowercase();
    let near = entries()
        .map(|entry| (osa_distance(&typed, entry.name), entry.name))
        .filter(|(distance, name)| {
            *distance <= name.len().max(typed.len()) / 2 || name.starts_with(&typed)
        })
        .min();
    let question = match (FOREIGN.iter().find(|(theirs, _)| *theirs == name), near) {
        (Some((_, ours)), _) => format!("; {ours}"),
        (None, Some((_, name))) => format!("; did you mean \\{name}?"),
        (None, None) => String::new(),
    };
    Error::query(format!("no command \\{name}{question} (\\? lists them)"))
}

/// Commands of other prompts, with what does the same here.
const FOREIGN: &[(&str, &str)] = &[
    ("c", "\\source PLACE reads something else"),
    ("connect", "\\source PLACE reads something else"),
    ("l", "\\d lists the tables, \\source the sources"),
    ("dn", "there is one schema; \\d lists the tables"),
    (
        "du",
        "there are no users; SELECT DISTINCT actor FROM events lists who is in the events",
    ),
    ("pset", "\\x, \\format and \\tz say how answers look"),
    ("quiet", "\\timing off says nothing but the answer"),
    ("copy", "\\g FILE writes the rows of the last statement"),
    ("set", "there are no variables"),
    ("r", "Ctrl-C clears what is typed"),
    ("p", "the arrow up shows the last statement"),
    ("s", "Ctrl-R searches the history"),
    ("!", "Ctrl-Z leaves to the shell, fg comes back"),
];

fn seconds(text: &str) -> Result<Duration> {
    if text.is_empty() {
        return Ok(Duration::from_secs(2));
    }
    let text = text.strip_suffix('s').unwrap_or(text);
    text.parse()
        .ok()
        .and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok())
        .filter(|pause| *pause >= Duration::from_millis(100))
        .ok_or_else(|| Error::query("expected \\watch SECONDS, at least 0.1"))
}

fn switch(text: &str) -> Result<Option<bool>> {
    match text.to_lowercase().as_str() {
        "" => Ok(None),
        "on" | "1" | "true" => Ok(Some(true)),
        "off" | "0" | "false" => Ok(Some(false)),
        _ => Err(Error::query(format!("expected on or off, found {text}"))),
    }
}

/// Returns a path with the user's home folder in the place of `~`, as a shell would give it.
pub(super) fn with_home(path: &str) -> String {
    let home = || std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
    match (path.strip_prefix('~'), home()) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => home + rest,
        _ => path.to_owned(),
    }
}

/// Removes quotes around an argument.
fn unquoted(text: &str) -> String {
    for quote in ['\'', '"'] {
        let inner = text
            .strip_prefix(quote)
            .and_then(|it| it.strip_suffix(quote));
        if let Some(inner) = inner.filter(|it| !it.contains(quote)) {
            return inner.to_owned();
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: &str) -> String {
        Command::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn arguments_are_parsed() {
        let parse = |line| Command::parse(line).unwrap();
        assert_eq!(
            parse("d Events db*;"),
            Command::Describe {
                table: Some("Events".to_owned()),
                pattern: Some("db*".to_owned())
            }
        );
        assert_eq!(
            parse("watch 0.5"),
            Command::Watch(Duration::from_millis(500))
        );
        assert_eq!(parse("timing OFF"), Command::Timing(Some(false)));
        assert_eq!(
            parse("i 'my file.sql'"),
            Command::Include("my file.sql".to_owned())
        );
        assert_eq!(parse("record 12"), Command::Record(12));
    }

    #[test]
    fn faults_name_the_nearest_command_or_its_arguments() {
        assert_eq!(
            fault("tming"),
            "no command \\tming; did you mean \\timing? (\\? lists them)"
        );
        assert_eq!(
            fault("formt csv"),
            "no command \\formt; did you mean \\format? (\\? lists them)"
        );
        assert_eq!(
            fault("l"),
            "no command \\l; \\d lists the tables, \\source the sources (\\? lists them)"
        );
        assert_eq!(fault("record x"), "expected \\record N");
        assert_eq!(fault("i"), "expected \\i FILE");
        assert_eq!(
            fault("watch never"),
            "expected \\watch SECONDS, at least 0.1"
        );
    }

    #[test]
    fn every_command_that_is_listed_is_parsed() {
        for entry in entries() {
            for arguments in ["", "1", "x y", "on"] {
                let line = format!("{} {arguments}", entry.name);
                if let Err(error) = Command::parse(&line) {
                    assert!(
                        error.to_string().starts_with("expected "),
                        "{line}: {error}"
                    );
                }
            }
        }
    }
}
