//! The prompt, driven through a pseudo-terminal as a person drives it.
//!
//! Screens are compared as text. Nothing here waits for a fixed time: each step waits until the
//! screen shows what it is to show.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Longest wait for a screen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The line that the prompt begins with.
const PROMPT: &str = "auroratrail>";

/// A terminal with a prompt in it.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    screen: Arc<Mutex<vt100::Parser>>,
    child: Box<dyn Child + Send + Sync>,
}

/// The settings of a terminal.
struct Setup<'a> {
    home: &'a Path,
    arguments: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
    columns: u16,
    rows: u16,
}

impl<'a> Setup<'a> {
    fn new(home: &'a Path, arguments: &'a [&'a str]) -> Self {
        Self {
            home,
            arguments,
            environment: &[],
            columns: 100,
            rows: 30,
        }
    }

    fn start(self) -> Terminal {
        let size = PtySize {
            rows: self.rows,
            cols: self.columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_auroratrail"));
        command.arg("repl");
        command.args(self.arguments);
        command.cwd(self.home);
        command.env_clear();
        command.env("HOME", self.home);
        command.env("PATH", std::env::var("PATH").unwrap());
        command.env("TERM", "xterm-256color");
        command.env("NO_COLOR", "1");
        command.env("PAGER", "cat");
        for (name, value) in self.environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(
            cells(self.rows),
            cells(self.columns),
            1000,
        )));
        let output = pair.master.try_clone_reader().unwrap();
        let (shown, answers) = (Arc::clone(&screen), Arc::clone(&keys));
        std::thread::spawn(move || show(output, &shown, &answers));
        Terminal {
            master: pair.master,
            keys,
            screen,
            child,
        }
    }
}

fn cells(count: u16) -> std::num::NonZero<u16> {
    count.try_into().unwrap()
}

/// Shows output on the screen, and tells where the cursor is when that is asked, as terminals do.
fn show(
    mut output: Box<dyn Read + Send>,
    screen: &Mutex<vt100::Parser>,
    keys: &Mutex<Box<dyn Write + Send>>,
) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        let bytes = &buffer[..read];
        let mut screen = screen.lock().unwrap();
        screen.process(bytes);
        if bytes.windows(4).any(|it| it == b"\x1b[6n") {
            let (row, column) = screen.screen().cursor_position();
            drop(screen);
            let answer = format!("\x1b[{};{}R", row + 1, column + 1);
            let _ = keys.lock().unwrap().write_all(answer.as_bytes());
        }
    }
}

impl Terminal {
    /// Presses keys.
    fn press(&self, keys: &str) {
        let mut writer = self.keys.lock().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Types a line and Enter.
    fn enter(&self, line: &str) {
        self.press(line);
        self.press("\r");
    }

    /// Returns the screen without blank lines at its end.
    fn screen(&self) -> String {
        let screen = self.screen.lock().unwrap();
        let text = screen.screen().contents();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// Waits until the screen is as it is to be; returns it.
    fn wait_for(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no {what} on the screen:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a text is on the screen.
    fn wait(&self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contains(text))
    }

    /// Waits until an empty prompt is the last line of the screen.
    fn wait_for_prompt(&self) -> String {
        self.wait_for("empty prompt", |screen| {
            screen.lines().last().is_some_and(|line| line == PROMPT)
        })
    }

    /// Types a line, waits for the next prompt, and returns the lines between the two.
    fn ask(&self, line: &str) -> String {
        self.press("\x0c");
        self.wait_for("clear screen", |screen| screen == PROMPT);
        self.enter(line);
        let screen = self.wait_for("answer", |screen| {
            screen.lines().count() > 1 && screen.lines().last() == Some(PROMPT)
        });
        let lines: Vec<&str> = screen.lines().collect();
        let typed = lines
            .iter()
            .position(|it| it.ends_with(line.get(line.len().saturating_sub(20)..).unwrap_or(line)))
            .unwrap_or(0);
        lines[typed + 1..lines.len() - 1].join("\n")
    }

    /// Waits for the process to end by itself; returns its status.
    fn wait_for_end(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(begun.elapsed() < PATIENCE, "it runs on:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).unwrap();
        self.screen
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(cells(rows), cells(columns));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

const FEW: &[&str] = &["sample:?events=2000"];

#[test]
fn statements_are_answered_until_the_end() {
    let home = home();
    let mut terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    let answer = terminal.ask("SELECT 1 AS a, NULL AS b, '' AS c;");
    insta::assert_snapshot!(answer, @"
    a  b     c
    ─  ────  ─
    1  NULL
    (1 row)
    ");
    // A statement goes over lines until its semicolon.
    terminal.enter("SELECT count(*) AS n");
    terminal.wait("...>");
    terminal.enter("FROM events;");
    let screen = terminal.wait("\n2000\n(1 row)\nauroratrail>");
    assert!(screen.contains("\n2000\n"), "{screen}");
    // A command amid a statement leaves it to be gone on with.
    terminal.enter("SELECT 6 AS six \\format csv");
    terminal.wait_for("the statement again", |screen| {
        screen.trim_end().ends_with("auroratrail> SELECT 6 AS six")
    });
    terminal.enter(";");
    terminal.wait("\nsix\n6\nauroratrail>");
    terminal.ask("\\format table");
    let answer = terminal.ask("SELECT nothing FROM events;");
    assert!(answer.contains("no column nothing in events"), "{answer}");
    let answer = terminal.ask("\\tming");
    assert!(answer.contains("did you mean \\timing?"), "{answer}");
    terminal.press("\x04");
    assert_eq!(terminal.wait_for_end(), 0);
}

#[test]
fn the_history_is_kept_without_what_starts_with_a_blank() {
    let home = home();
    let mut terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    terminal.ask("SELECT 11 AS kept;");
    terminal.ask(" SELECT 12 AS secret;");
    terminal.enter("quit");
    assert_eq!(terminal.wait_for_end(), 0);
    let file = home.path().join(".local/state/auroratrail/history");
    let history = std::fs::read_to_string(&file).unwrap();
    assert!(
        history.contains("kept") && !history.contains("secret"),
        "{history}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    terminal.press("\x12kept");
    terminal.wait("SELECT 11 AS kept;");
}

#[test]
fn control_c_clears_what_is_typed_and_ends_a_statement() {
    let home = home();
    let terminal = Setup::new(home.path(), &["sample:?events=50000000"]).start();
    terminal.wait_for_prompt();
    terminal.press("SELECT oops");
    terminal.wait("SELECT oops");
    terminal.press("\x03");
    terminal.wait_for_prompt();
    terminal.enter("SELECT count(*) FROM events;");
    // The progress line says that it reads.
    terminal.wait("events");
    terminal.wait_for("progress", |screen| screen.contains("/s"));
    terminal.press("\x03");
    let screen = terminal.wait("stopped after");
    assert!(screen.contains("events read"), "{screen}");
    terminal.wait_for_prompt();
    let answer = terminal.ask("SELECT 5 AS five;");
    assert!(answer.contains("five\n────\n   5"), "{answer}");
}

#[test]
fn a_statement_is_watched_until_control_c() {
    let home = home();
    let terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    terminal.enter("SELECT 7 AS seven \\watch 0.1");
    terminal.wait_for("two answers", |screen| {
        screen.matches("seven\n").count() > 2
    });
    terminal.press("\x03");
    terminal.wait_for_prompt();
}

#[test]
fn pasted_lines_run_when_enter_is_pressed() {
    let home = home();
    let terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    let mut pasted = String::from("SELECT 0");
    for number in 1..200 {
        pasted.push_str(&format!("\n + {number}"));
    }
    pasted.push_str(" AS total;");
    terminal.press(&format!("\x1b[200~{pasted}\x1b[201~"));
    terminal.wait("+ 199 AS total;");
    terminal.press("\r");
    terminal.wait("\n19900\n");
}

#[test]
fn an_answer_fits_the_terminal_as_it_is_now() {
    let home = home();
    let terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    let sql = "SELECT eventID, eventID AS b, eventID AS c FROM events LIMIT 1;";
    let rule = |screen: &str| {
        let rule = screen.lines().find(|line| line.starts_with('─'));
        rule.map(|line| line.chars().count())
    };
    assert_eq!(rule(&terminal.ask(sql)), Some(100));
    terminal.resize(30, 42);
    assert_eq!(rule(&terminal.ask(sql)), Some(42));
}

#[test]
fn a_dumb_terminal_has_the_prompt_without_the_editor() {
    let home = home();
    let setup = Setup {
        environment: &[("TERM", "dumb")],
        ..Setup::new(home.path(), FEW)
    };
    let mut terminal = setup.start();
    terminal.wait(PROMPT);
    terminal.enter("SELECT 1 AS a,");
    terminal.wait("...>");
    terminal.enter("2 AS b;");
    terminal.wait("a  b\n─  ─\n1  2\n");
    terminal.press("\x04");
    assert_eq!(terminal.wait_for_end(), 0);
}

#[test]
fn names_and_values_are_completed_with_their_meaning() {
    let home = home();
    let terminal = Setup::new(home.path(), FEW).start();
    terminal.wait("2,000 events from");
    terminal.wait_for_prompt();
    // Statements that are kept are completed by their names.
    terminal.ask("SELECT 8 AS eight \\save of_eight");
    terminal.press("\\queries of\t\r");
    terminal.wait("eight\n─────\n    8");
    terminal.wait_for_prompt();
    // One candidate is taken at once, in CloudTrail's spelling; Enter takes the first of several.
    terminal.press("SELECT awsreg\t");
    terminal.wait("SELECT awsRegion");
    terminal.press("\x15");
    terminal.press("SELECT useridentity.usern\t");
    terminal.wait("userIdentity.sessionContext.sessionIssuer.userName  varchar");
    terminal.press("\r");
    terminal.wait("SELECT userIdentity.userName");
    terminal.press("\x15");
    // Several are listed with type and meaning.
    terminal.press("SELECT requestParameters.dBClusterS\t");
    let screen = terminal.wait("varchar");
    let menu: Vec<&str> = screen
        .lines()
        .skip_while(|line| !line.contains("SELECT requestParameters.dBClusterS"))
        .skip(1)
        .take(2)
        .collect();
    assert!(!menu.is_empty(), "{screen}");
    terminal.press("\x1b");
    terminal.press("\x15");
    // Values come from the data.
    terminal.press("SELECT * FROM events WHERE eventName = 'DeleteDBInst\t");
    terminal.wait("eventName = 'DeleteDBInstance'");
    terminal.press("\x15");
    terminal.press("\\tim\t");
    terminal.wait_for("both commands", |screen| {
        screen.contains("\\timing") && screen.contains("\\timeline")
    });
}

/// Writes a script that can be run; returns its path.
#[cfg(unix)]
fn script(home: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = home.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
#[cfg(unix)]
fn long_answers_go_through_the_pager_and_short_ones_do_not() {
    let home = home();
    let pager = script(
        home.path(),
        "pager",
        "echo PAGED; wc -l; echo 'press a key'; read x < /dev/tty",
    );
    let setup = Setup {
        environment: &[("PAGER", &pager)],
        ..Setup::new(home.path(), FEW)
    };
    let terminal = setup.start();
    terminal.wait_for_prompt();
    let answer = terminal.ask("SELECT eventName FROM events LIMIT 20;");
    assert!(!answer.contains("PAGED"), "{answer}");
    terminal.enter("SELECT eventName FROM events LIMIT 500;");
    // A header, its rule and the number of rows are lines too.
    let screen = terminal.wait("press a key");
    assert!(screen.contains("PAGED\n503\n"), "{screen}");
    terminal.press("\r");
    terminal.wait_for_prompt();
}

#[test]
fn rows_are_lists_if_asked_and_times_are_in_the_zone_of_choice() {
    let home = home();
    let terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    terminal.ask("\\x on");
    terminal.ask("\\tz Asia/Tokyo");
    let sql = "SELECT TIMESTAMP '2026-10-01 22:30:00Z' AS t, '' AS empty, NULL AS n;";
    insta::assert_snapshot!(terminal.ask(sql), @"
    ─[ row 1 ]──────────────────────────────
    t      2026-10-02T07:30:00+09:00
    empty
    n      NULL
    (1 row)
    ");
    let answer = terminal.ask("\\tz Mars/Olympus");
    assert!(answer.contains("is not a time zone"), "{answer}");
}

#[test]
#[cfg(unix)]
fn the_last_statement_is_edited_and_run() {
    let home = home();
    let editor = script(
        home.path(),
        "editor",
        "sed -i 's/11 AS first/22 AS second/' \"$1\"",
    );
    let setup = Setup {
        environment: &[("EDITOR", &editor)],
        ..Setup::new(home.path(), FEW)
    };
    let terminal = setup.start();
    terminal.wait_for_prompt();
    terminal.ask("SELECT 11 AS first;");
    let answer = terminal.ask("\\e");
    assert!(
        answer.contains("SELECT 22 AS second;") && answer.contains("second\n"),
        "{answer}"
    );
    // What is left as it was is not run.
    assert_eq!(terminal.ask("\\e"), "");
}

#[test]
#[cfg(unix)]
fn sigterm_gives_the_terminal_back() {
    let home = home();
    let mut terminal = Setup::new(home.path(), FEW).start();
    terminal.wait_for_prompt();
    let id = terminal.child.process_id().unwrap().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(terminal.wait_for_end(), 130);
}
