//! The line editor of a terminal: history, completion, hints, highlighting.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use reedline::{
    Color, ColumnarMenu, DefaultHinter, EditCommand, Emacs, ExternalPrinter, FileBackedHistory,
    KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch,
    PromptHistorySearchStatus, Reedline, ReedlineEvent, ReedlineMenu, Signal, ValidationResult,
    Validator, default_emacs_keybindings,
};

use super::completion::SqlCompleter;
use super::highlight::SqlHighlighter;
use super::lines::{CONTINUATION, PROMPT};
use super::state;
use super::statements::is_complete;
use crate::cli::report::why;
use crate::error::{Error, Result};

/// A person at a terminal that can be written to at any place.
pub(super) struct LineEditor {
    reedline: Reedline,
}

/// An input of the person.
pub(super) enum Line {
    /// Statements and commands.
    Text(String),
    /// What was typed is given up (Ctrl-C).
    Cleared,
    /// The end of the prompt (Ctrl-D).
    End,
    /// The end of the process (SIGTERM).
    Terminated,
}

impl LineEditor {
    /// Returns whether the terminal is one that the editor can draw on: not a dumb one, as Emacs's
    /// shell is.
    pub(super) fn is_possible() -> bool {
        let is_dumb = std::env::var("TERM").is_ok_and(|term| term.is_empty() || term == "dumb");
        !is_dumb && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
    }

    /// An editor with the user's history. `leaving` makes it give up; what `printer` is sent appears
    /// above the prompt.
    pub(super) fn new(
        leaving: Arc<AtomicBool>,
        printer: ExternalPrinter<String>,
        completer: SqlCompleter,
    ) -> Self {
        let may_color = crate::cli::may_color();
        let mut reedline = Reedline::create()
            .with_validator(Box::new(WholeStatements))
            // Without colour there is still reverse video, for what is chosen in the menu.
            .with_ansi_colors(true)
            .with_completer(Box::new(completer))
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu(may_color))))
            .with_partial_completions(true)
            .with_quick_completions(true)
            .with_edit_mode(Box::new(Emacs::new(keys())))
            .with_history_exclusion_prefix(Some(" ".to_owned()))
            .with_break_signal(leaving)
            .with_external_printer(printer)
            .use_bracketed_paste(true);
        if may_color {
            let style = Color::DarkGray.normal();
            reedline = reedline
                .with_highlighter(Box::new(SqlHighlighter))
                // Without colour a hint could not be told from what was typed.
                .with_hinter(Box::new(DefaultHinter::default().with_style(style)));
        }
        match history() {
            Ok(history) => reedline = reedline.with_history(Box::new(history)),
            Err(error) => eprintln!("auroratrail: note: the history is not kept: {error}"),
        }
        Self { reedline }
    }

    /// Puts text on the next line, as if it had been typed.
    pub(super) fn begin_with(&mut self, text: &str) {
        let typed = EditCommand::InsertString(format!("{text} "));
        self.reedline.run_edit_commands(&[typed]);
    }

    /// Reads until the input is whole.
    ///
    /// # Errors
    /// Io, if the terminal cannot be read.
    pub(super) fn read(&mut self) -> Result<Line> {
        match self.reedline.read_line(&PlainPrompt) {
            Ok(Signal::Success(text)) => Ok(Line::Text(text)),
            Ok(Signal::CtrlC) => Ok(Line::Cleared),
            Ok(Signal::ExternalBreak(_)) => Ok(Line::Terminated),
            Ok(_) => Ok(Line::End),
            Err(error) => {
                let error = std::io::Error::other(error);
                Err(Error::io(format!(
                    "cannot read the terminal: {}",
                    why(&error)
                )))
            }
        }
    }
}

fn history() -> Result<FileBackedHistory> {
    let path = state::history_file()?;
    FileBackedHistory::with_file(HISTORY, path)
        .map_err(|error| Error::io(format!("cannot read the history: {error}")))
}

/// The keys of Emacs and readline, with Tab for completion.
fn keys() -> reedline::Keybindings {
    let mut keys = default_emacs_keybindings();
    keys.add_binding(
        KeyModifiers::NONE,
        KeyCode::Tab,
        ReedlineEvent::UntilFound(vec![
            ReedlineEvent::Menu(MENU.to_owned()),
            ReedlineEvent::MenuNext,
        ]),
    );
    keys.add_binding(
        KeyModifiers::SHIFT,
        KeyCode::BackTab,
        ReedlineEvent::MenuPrevious,
    );
    keys
}

/// The menu of completions: one a line, with its type and meaning beside it.
fn menu(may_color: bool) -> ColumnarMenu {
    let plain = Color::Default.normal();
    let description = match may_color {
        true => Color::DarkGray.normal(),
        false => plain,
    };
    ColumnarMenu::default()
        .with_name(MENU)
        .with_marker("")
        .with_columns(1)
        .with_text_style(plain)
        .with_selected_text_style(plain.reverse())
        .with_description_text_style(description)
        .with_match_text_style(plain.bold())
        .with_selected_match_text_style(plain.reverse().bold())
}

/// Statements go over lines until they are whole.
struct WholeStatements;

impl Validator for WholeStatements {
    fn validate(&self, text: &str) -> ValidationResult {
        match is_complete(text) {
            true => ValidationResult::Complete,
            false => ValidationResult::Incomplete,
        }
    }
}

/// The text before a line.
struct PlainPrompt;

impl Prompt for PlainPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(PROMPT)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(CONTINUATION)
    }

    fn get_prompt_color(&self) -> Color {
        Color::Default
    }

    fn get_prompt_multiline_color(&self) -> Color {
        Color::Default
    }

    fn get_indicator_color(&self) -> Color {
        Color::Default
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "nothing found: ",
        };
        Cow::Owned(format!("(search: {failing}{}) ", search.term))
    }
}

/// The name of the menu of completions.
pub(super) const MENU: &str = "completions";

/// Statements that the history keeps.
const HISTORY: usize = 10_000;
