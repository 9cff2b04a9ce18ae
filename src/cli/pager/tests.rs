//! The pager, with small scripts in the place of `less`.

use std::path::PathBuf;
use std::time::Instant;

use super::*;

const SCREEN: ScreenSize = ScreenSize {
    columns: 20,
    rows: 6,
};

#[derive(Clone, Default)]
struct Plain(Arc<Mutex<Vec<u8>>>);

impl Plain {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer whose pager is a script, and what came out of both.
struct Fixture {
    paged: Paged,
    plain: Plain,
    folder: tempfile::TempDir,
}

impl Fixture {
    /// `script` is a line of shell, in which `$OUT` stands for the file to record to.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out").display().to_string();
        let pager = Pager::Shell(script.replace("$OUT", &format!("'{out}'")));
        let plain = Plain::default();
        Self {
            paged: Paged::new(Some(pager), Some(SCREEN), plain.clone()),
            plain,
            folder,
        }
    }

    fn is_paging(&self) -> bool {
        matches!(self.paged.shared.lock().state, State::Paging(_))
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn recorded(&self) -> Option<String> {
        std::fs::read_to_string(self.out()).ok()
    }
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_answer_that_fits_the_screen_is_written_plainly_at_the_end() {
    let mut fixture = Fixture::new("cat > $OUT");
    let text = "1\n2\n\u{1b}[2mNULL\u{1b}[22m 6789012345678\nééééééééééééééééé 20\n";
    fixture.paged.write_all(text.as_bytes()).unwrap();
    fixture.paged.flush().unwrap();
    assert_eq!(fixture.plain.text(), "");
    fixture.paged.finish().unwrap();
    assert_eq!(fixture.plain.text(), text);
    assert_eq!(fixture.recorded(), None);
}

#[test]
fn one_line_more_starts_the_pager_which_gets_rows_as_they_come() {
    let mut fixture = Fixture::new("cat > $OUT");
    fixture.paged.write_all(b"1\n2\n3\n4\n").unwrap();
    assert!(!fixture.is_paging());
    fixture.paged.write_all(b"5\n").unwrap();
    assert!(fixture.is_paging());
    fixture.paged.flush().unwrap();
    let has = |text: &str| fixture.recorded().is_some_and(|it| it == text);
    wait_for("the first five", || has("1\n2\n3\n4\n5\n"));
    fixture.paged.write_all(b"6\n").unwrap();
    fixture.paged.flush().unwrap();
    let has = |text: &str| fixture.recorded().is_some_and(|it| it == text);
    wait_for("the sixth", || has("1\n2\n3\n4\n5\n6\n"));
    fixture.paged.finish().unwrap();
    assert!(!fixture.is_paging());
    assert_eq!(fixture.plain.text(), "");
}

#[test]
fn a_line_wider_than_the_screen_starts_the_pager_even_before_its_end() {
    for text in [
        "123456789012345678901",
        "a\tb\tc\tdefgh",
        "日本語日本語日本語日本",
    ] {
        let mut fixture = Fixture::new("cat > $OUT");
        // In pieces that end within characters.
        for byte in text.as_bytes() {
            fixture.paged.write_all(&[*byte]).unwrap();
        }
        fixture.paged.finish().unwrap();
        assert_eq!(fixture.recorded().as_deref(), Some(text));
        assert_eq!(fixture.plain.text(), "");
    }
}

#[test]
fn the_end_waits_for_the_pager() {
    let fixture = Fixture::new("cat > /dev/null; sleep 0.3; echo done > $OUT");
    let Fixture {
        mut paged, folder, ..
    } = fixture;
    paged.write_all(&b"x\n".repeat(10)).unwrap();
    drop(paged);
    assert!(folder.path().join("out").exists());
}

#[test]
fn a_pager_that_is_quit_is_a_broken_pipe_and_no_failure_at_the_end() {
    let mut fixture = Fixture::new("head -n 1 > $OUT");
    let line = b"0123456789\n".repeat(1_000);
    let broken = loop {
        if let Err(error) = fixture.paged.write_all(&line) {
            break error;
        }
    };
    assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    fixture.paged.finish().unwrap();
    assert_eq!(fixture.recorded().as_deref(), Some("0123456789\n"));
    assert_eq!(fixture.plain.text(), "");
}

#[test]
fn rows_are_written_plainly_if_the_pager_does_not_exist() {
    for lines in [10, 100_000] {
        let mut fixture = Fixture::new("/no/such/pager 2> /dev/null");
        for line in 0..lines {
            writeln!(fixture.paged, "{line}").unwrap();
        }
        fixture.paged.finish().unwrap();
        let text = fixture.plain.text();
        assert_eq!(text.lines().count(), lines);
        assert!(
            text.lines()
                .enumerate()
                .all(|(at, it)| it == at.to_string())
        );
    }
}

#[test]
fn a_few_rows_are_shown_after_a_while_and_those_after_them_too() {
    let mut fixture = Fixture::new("cat > $OUT");
    fixture.paged.write_all(b"1\n").unwrap();
    fixture.paged.flush().unwrap();
    wait_for("the first row", || fixture.plain.text() == "1\n");
    fixture.paged.write_all(&b"x\n".repeat(10)).unwrap();
    fixture.paged.flush().unwrap();
    assert_eq!(fixture.plain.text(), format!("1\n{}", "x\n".repeat(10)));
    fixture.paged.finish().unwrap();
    assert_eq!(fixture.recorded(), None);
}

#[test]
fn the_variable_names_a_pager_or_none() {
    let shell = |line: &str| Some(Pager::Shell(line.to_owned()));
    assert_eq!(Pager::of_variable(None), Some(Pager::Less));
    assert_eq!(Pager::of_variable(Some("")), None);
    assert_eq!(Pager::of_variable(Some(" cat ")), None);
    assert_eq!(Pager::of_variable(Some("most -s")), shell("most -s"));
}
