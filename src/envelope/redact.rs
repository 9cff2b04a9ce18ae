//! Secrets in records, hidden before any column is decoded: JSON columns, flattened columns, `record`,
//! `unmapped` and fingerprints all have the hidden form.
//!
//! A value is hidden because of its key ([`SECRET_WORDS`], [`SECRET_KEYS`], but for [`NAMING_ENDS`] and
//! [`NAMING_KEYS`]), because of the name that stands beside it ([`PAIR_NAMES`]), or a part of a text because of what stands before it ([`TEXT_RULES`]). Texts that
//! are JSON are looked into, down to [`MAX_TEXT_LEVELS`]. All else stays as it is, byte for byte.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::Record;
use super::spelling::is_container;
use crate::json::{Elements, Members, Parsed, Span, Tape, skip_space, unescape};

/// The text in the place of a hidden value.
pub const HIDDEN: &str = "***";

/// Words that make a key that of a secret, wherever they are in it. Keys are compared in lower case and
/// without `-` and `_`.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "privatekey",
    "apikey",
];

/// Whole keys of secrets.
const SECRET_KEYS: &[&str] = &[
    "authorization",
    "proxyauthorization",
    "pwd",
    "xamzsignature",
];

/// Ends of keys of secrets whose value is a text; objects of this name are walked.
const SECRET_ENDS: &[&str] = &["credential", "credentials"];

/// Ends of keys that have one of [`SECRET_WORDS`] and yet hold no secret: `secretArn` names one,
/// `minimumPasswordLength` rules over all of them.
#[rustfmt::skip]
const NAMING_ENDS: &[&str] = &[
    "passwordage", "algorithm", "arn", "arns", "certificate", "count", "date", "days", "description", "duration", "enabled",
    "endpoint", "expiration", "expires", "expression", "expiresin", "expiry", "expirytime", "id", "ids", "lastchanged",
    "lastused", "length", "method", "mode", "name", "names", "policy", "prevention", "publickey", "region", "required",
    "size", "source", "stage", "stages", "status", "time", "ttl", "type", "types", "unit", "units", "updated", "uri", "url",
    "validity", "version", "versions",
];

/// Whole keys that have one of [`SECRET_WORDS`] and yet hold no secret: places in a listing, marks of
/// one request or version, counts of words, a setting of EC2, the outcome of a sign-in, a caller's name.
#[rustfmt::skip]
const NAMING_KEYS: &[&str] = &[
    "changetoken", "clientrequesttoken", "clienttoken", "continuationtoken", "creationtoken",
    "expectedsequencetoken", "getsignintoken", "httptokens", "idempotencytoken", "inputtokens", "locktoken",
    "maxtokens", "maxtokenstosample", "nextbackwardtoken", "nextcontinuationtoken", "nextforwardtoken", "nextpagetoken",
    "nexttoken", "nextsequencetoken", "outputtokens", "pagetoken", "paginationtoken", "previoustoken",
    "sequencetoken", "startingtoken", "starttoken", "subjectfromwebidentitytoken", "totaltokens", "updatetoken",
    "uploadsequencetoken",
];

/// Keys whose value names what another member of the object has the value of: environment variables, tags,
/// parameters of CloudFormation and of statements. `parameterName` is not among them, as the parameters of a
/// database that have such names are settings: `password_encryption`.
const PAIR_NAMES: &[&str] = &["name", "key", "parameterkey"];

/// Keys of those values.
const PAIR_VALUES: &[&str] = &["value", "values", "parametervalue"];

/// Rules for parts of texts: what stands before and after a secret stays. Each has one of the words of
/// [`may_have_secrets`].
#[rustfmt::skip]
const TEXT_RULES: &[&str] = &[
    // Connection strings and URLs: postgres://user:password@host. The last `@` before the path counts.
    r#"(?P<before>://[^/\s:@?#"'<>&]*:)(?P<secret>[^/\s?#"'<>&]+)(?P<after>@)"#,
    // Signed URLs, also inside another URL. The key ID in X-Amz-Credential is no secret.
    r#"(?i)(?P<before>(?:x-amz-signature|x-amz-security-token|\bsignature|\bsig)(?:=|%3d))(?P<secret>[^&\s"'<>;,]+)(?P<after>)"#,
    // Connection strings of key and value.
    r#"(?i)(?P<before>password\s*=\s*|\bpwd\s*=\s*)(?P<secret>'[^']*'|"[^"]*"|[^&\s"'<>;,]+)(?P<after>)"#,
];

/// Most texts inside each other that are looked into for JSON.
const MAX_TEXT_LEVELS: u32 = 3;

/// Most passes over a text until nothing more is hidden in it.
const MAX_PASSES: u32 = 4;

/// Hides secrets. Keeps its buffers from record to record; each thread has its own.
#[derive(Default)]
pub struct Redactor {
    text: String,
    original: String,
    tape: Tape,
}

impl Redactor {
    /// Returns the record with its secrets hidden, and their number: the record itself if there are
    /// none.
    pub fn redact<'a>(&'a mut self, record: &Record<'a>) -> (Record<'a>, u64) {
        let hidden = redact_json(record.span.raw(record.text), 0);
        // Also a secret that is only in a field that was dropped from the record.
        let original = record.original.and_then(|text| redact_json(text, 0));
        if hidden.is_none() && original.is_none() {
            return (*record, 0);
        }
        let count = hidden
            .as_ref()
            .or(original.as_ref())
            .map_or(0, |it| it.count);
        let mut redacted = *record;
        redacted.original = original.map(|original| {
            self.original = original.text;
            &*self.original
        });
        if let Some(hidden) = hidden {
            self.text = hidden.text;
            let parsed = self.tape.parse(&self.text, 0);
            let whole = parsed
                == Parsed::Document {
                    start: 0,
                    end: self.text.len(),
                };
            assert!(whole, "texts in the place of values leave JSON what it is");
            redacted.text = &self.text;
            redacted.span = Span {
                start: 0,
                end: self.text.len() as u32,
                escaped: false,
            };
            redacted.members = &self.tape.root;
        }
        (redacted, count)
    }
}

/// Text with hidden values.
struct Redacted {
    text: String,
    /// The number of values that were hidden.
    count: u64,
}

/// Returns the JSON text, which is valid, with its secrets hidden; `None` if it has none.
fn redact_json(json: &str, level: u32) -> Option<Redacted> {
    if !may_have_secrets(json) {
        return None;
    }
    let mut walk = Walk {
        json,
        level,
        edits: Vec::new(),
        count: 0,
    };
    walk.value(value_at(json, skip_space(json.as_bytes(), 0)));
    walk.finish()
}

/// Returns whether a secret may be in the text: a word of the rules, in any case and with any `-` and
/// `_` in it, or an escape that may be a part of one.
fn may_have_secrets(text: &str) -> bool {
    static WORDS: LazyLock<regex::bytes::Regex> = LazyLock::new(|| {
        let words = [SECRET_WORDS, SECRET_KEYS, &["credential", "signature"]].concat();
        let spread = words.iter().map(|word| {
            let letters: Vec<String> = word.chars().map(String::from).collect();
            letters.join("[-_]*")
        });
        let others = [
            r"sig(?:=|%3d|\\u003d)",
            r#":(?:\\?/){2}[^/\s"@]*:[^/\s"]*@"#,
            // Escapes of letters and of - / : @ _
            r"\\u00(?:2[df]|3a|4|5|6|7)",
        ];
        let any: Vec<String> = spread.chain(others.map(str::to_owned)).collect();
        regex::bytes::Regex::new(&format!("(?i-u){}", any.join("|")))
            .expect("the words are literals")
    });
    WORDS.is_match(text.as_bytes())
}

/// A pass over one JSON text.
struct Walk<'a> {
    json: &'a str,
    /// Texts around this one.
    level: u32,
    /// Values to replace, in the order of the text.
    edits: Vec<(Range<usize>, Cow<'static, str>)>,
    count: u64,
}

impl Walk<'_> {
    /// Hides secrets in a value whose key is not that of a secret.
    fn value(&mut self, value: Span) {
        match value.first(self.json) {
            b'{' => {
                let names_secret = self.names_secret(value);
                for (key, value) in Members::at(self.json, value.start as usize) {
                    let key = unescape(key.raw(self.json));
                    if names_secret && PAIR_VALUES.contains(&&*letters_of(&key)) {
                        self.paired(value);
                        continue;
                    }
                    match KeyClass::of(&key) {
                        KeyClass::Other => self.value(value),
                        KeyClass::Secret => self.secret(value),
                        KeyClass::SecretText if value.first(self.json) == b'"' => {
                            self.secret(value)
                        }
                        KeyClass::SecretText => self.value(value),
                    }
                }
            }
            b'[' => {
                for element in Elements::at(self.json, value.start as usize) {
                    self.value(element);
                }
            }
            b'"' => self.text(value),
            _ => {}
        }
    }

    /// Returns whether a member of the object gives the name of a secret, whose value another member has.
    fn names_secret(&self, object: Span) -> bool {
        Members::at(self.json, object.start as usize).any(|(key, name)| {
            name.first(self.json) == b'"'
                && PAIR_NAMES.contains(&&*letters_of(&unescape(key.raw(self.json))))
                && KeyClass::of(&content(self.json, name)) != KeyClass::Other
        })
    }

    /// Hides the value of a secret that another member names: `"value": "x"`, or `{"stringValue": "x"}`.
    fn paired(&mut self, value: Span) {
        match value.first(self.json) {
            b'{' => {
                for (_, value) in Members::at(self.json, value.start as usize) {
                    self.paired(value);
                }
            }
            _ => self.secret(value),
        }
    }

    /// Hides the value of a secret's key. Objects in it are walked. `true`, `false` and `null` stay:
    /// `manageMasterUserPassword` is a setting.
    fn secret(&mut self, value: Span) {
        match value.first(self.json) {
            b'[' => {
                for element in Elements::at(self.json, value.start as usize) {
                    self.secret(element);
                }
            }
            b'"' if !is_secret_text(&content(self.json, value)) => self.text(value),
            b'"' | b'-' | b'0'..=b'9' => self.replace(value, HIDDEN, 1),
            _ => self.value(value),
        }
    }

    /// Hides secrets within a text.
    fn text(&mut self, value: Span) {
        if !may_have_secrets(value.raw(self.json)) {
            return;
        }
        if let Some(hidden) = redact_text(&content(self.json, value), self.level) {
            self.replace(value, &hidden.text, hidden.count);
        }
    }

    fn replace(&mut self, value: Span, text: &str, count: u64) {
        let range = value.start as usize..value.end as usize;
        let text = match text {
            HIDDEN => Cow::Borrowed("\"***\""),
            _ => Cow::Owned(serde_json::Value::from(text).to_string()),
        };
        self.edits.push((range, text));
        self.count += count;
    }

    fn finish(self) -> Option<Redacted> {
        if self.edits.is_empty() {
            return None;
        }
        let mut text = String::with_capacity(self.json.len());
        let mut at = 0;
        for (range, replacement) in self.edits {
            text.push_str(&self.json[at..range.start]);
            text.push_str(&replacement);
            at = range.end;
        }
        text.push_str(&self.json[at..]);
        Some(Redacted {
            text,
            count: self.count,
        })
    }
}

/// The meaning of a key for its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyClass {
    /// The value is a secret.
    Secret,
    /// The value is a secret if it is a text.
    SecretText,
    /// The value is not a secret.
    Other,
}

impl KeyClass {
    fn of(key: &str) -> Self {
        let key = letters_of(key);
        let ends = |ends: &[&str]| ends.iter().any(|end| key.ends_with(end));
        if SECRET_KEYS.contains(&&*key) {
            return Self::Secret;
        }
        if ends(SECRET_ENDS) {
            return Self::SecretText;
        }
        let has_word = SECRET_WORDS.iter().any(|word| key.contains(word));
        match has_word && !ends(NAMING_ENDS) && !NAMING_KEYS.contains(&&*key) {
            true => Self::Secret,
            false => Self::Other,
        }
    }
}

/// Returns a key in lower case and without `-` and `_`.
fn letters_of(key: &str) -> String {
    let letters = key.chars().filter(|c| !matches!(c, '-' | '_'));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Returns whether the text under a secret's key is to be hidden: it is not empty, no ARN, which names
/// a secret, and not hidden already.
fn is_secret_text(text: &str) -> bool {
    let is_hidden = text.bytes().all(|byte| byte == b'*');
    !is_hidden && !text.starts_with("arn:") && text != "HIDDEN_DUE_TO_SECURITY_REASONS"
}

/// Returns the text with its secrets hidden, as JSON if it is; `None` if it has none.
fn redact_text(text: &str, level: u32) -> Option<Redacted> {
    let mut redacted: Option<Redacted> = None;
    // What one rule hid may be what kept another from its match.
    for _ in 0..MAX_PASSES {
        let text = redacted.as_ref().map_or(text, |it| &it.text);
        let pass = match level < MAX_TEXT_LEVELS && is_container(text) {
            true => redact_json(text, level + 1),
            false => redact_parts(text),
        };
        let Some(pass) = pass else { break };
        let before = redacted.map_or(0, |it| it.count);
        redacted = Some(Redacted {
            count: before + pass.count,
            ..pass
        });
    }
    redacted
}

/// Returns the text with the parts hidden that [`TEXT_RULES`] find; `None` if there are none.
fn redact_parts(text: &str) -> Option<Redacted> {
    static RULES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let rules = TEXT_RULES.iter();
        rules
            .map(|rule| Regex::new(rule).expect("the rule is a pattern"))
            .collect()
    });
    let mut count = 0;
    let mut hidden = Cow::Borrowed(text);
    for rule in &*RULES {
        let replaced = rule.replace_all(&hidden, |found: &Captures<'_>| {
            count += u64::from(&found["secret"] != HIDDEN);
            format!("{}{HIDDEN}{}", &found["before"], &found["after"])
        });
        if let Cow::Owned(replaced) = replaced {
            hidden = Cow::Owned(replaced);
        }
    }
    (count > 0).then(|| Redacted {
        text: hidden.into_owned(),
        count,
    })
}

/// Returns the content of the string, with its escapes resolved.
fn content(json: &str, string: Span) -> Cow<'_, str> {
    unescape(&json[string.start as usize + 1..string.end as usize - 1])
}

/// Refers to the value that goes from `start` to the end of the text.
fn value_at(json: &str, start: usize) -> Span {
    Span {
        start: start as u32,
        end: json.len() as u32,
        escaped: true,
    }
}

#[cfg(test)]
mod tests;
