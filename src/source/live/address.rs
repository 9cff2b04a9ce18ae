//! URLs of live sources: `kinesis://stream?from=-1h`.

use std::collections::BTreeMap;

use super::since::span;
use crate::error::{Error, Result};

/// The URL of a live source, taken apart.
#[derive(Clone, Debug)]
pub(in crate::source) struct Address {
    url: String,
    /// The text between `://` and `?`.
    pub(in crate::source) name: String,
    parameters: BTreeMap<String, String>,
}

impl Address {
    /// Takes `url` apart. Of parameters, only `known` ones are allowed, once each.
    ///
    /// # Errors
    /// Config, for any other parameter.
    pub(in crate::source) fn parse(url: &str, known: &[&str]) -> Result<Self> {
        let after = url.split_once("://").map_or(url, |(_, after)| after);
        let (name, query) = after.split_once('?').unwrap_or((after, ""));
        let mut parameters = BTreeMap::new();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*key) {
                return Err(Error::config(format!(
                    "`{url}`: unknown parameter `{key}`; expected {}",
                    known.join(", ")
                )));
            }
            if parameters
                .insert(key.to_string(), value.into_owned())
                .is_some()
            {
                return Err(Error::config(format!("`{url}`: `{key}` is given twice")));
            }
        }
        Ok(Self {
            url: url.to_owned(),
            name: name.to_owned(),
            parameters,
        })
    }

    /// The value of a parameter, `None` if it is not given.
    pub(in crate::source) fn get(&self, key: &str) -> Option<&str> {
        self.parameters.get(key).map(|value| &**value)
    }

    /// Returns the value of a parameter that has few of them, in any case; the first of `values` if it is
    /// not given.
    ///
    /// # Errors
    /// Config, for another value.
    pub(in crate::source) fn one_of(
        &self,
        key: &str,
        values: &[&'static str],
    ) -> Result<&'static str> {
        let Some(given) = self.get(key) else {
            return Ok(values[0]);
        };
        let found = values
            .iter()
            .find(|value| value.eq_ignore_ascii_case(given));
        found.copied().ok_or_else(|| {
            self.fault(format!(
                "`{key}` is one of {}, not `{given}`",
                values.join(", ")
            ))
        })
    }

    /// Returns the value of a parameter that is a span of time, as in 5m, in milliseconds; `default` if it is
    /// not given.
    ///
    /// # Errors
    /// Config, for another value.
    pub(in crate::source) fn span(&self, key: &str, default: i64) -> Result<i64> {
        let Some(given) = self.get(key) else {
            return Ok(default);
        };
        let span = span(given).map(|span| span.num_milliseconds());
        span.ok_or_else(|| {
            self.fault(format!(
                "`{key}` is a span of time, as in 5m, not `{given}`"
            ))
        })
    }

    /// A fault of this URL.
    pub(in crate::source) fn fault(&self, message: impl std::fmt::Display) -> Error {
        Error::config(format!("`{}`: {message}", self.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_known_and_given_once() {
        let parse = |url| Address::parse(url, &["from", "mode"]);
        let address = parse("kinesis://stream?from=-1h&mode=EFO").unwrap();
        assert_eq!(address.name, "stream");
        assert_eq!(address.get("from"), Some("-1h"));
        assert_eq!(address.one_of("mode", &["poll", "efo"]).unwrap(), "efo");
        assert_eq!(parse("logs:///aws/trail").unwrap().name, "/aws/trail");
        for (wrong, said) in [
            (
                "kinesis://s?form=latest",
                "unknown parameter `form`; expected from, mode",
            ),
            ("kinesis://s?from=a&from=b", "`from` is given twice"),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let spans = Address::parse(
            "logs://group?overlap=15m&look-back=soon",
            &["overlap", "look-back"],
        );
        let spans = spans.unwrap();
        assert_eq!(spans.span("overlap", 1).unwrap(), 15 * 60_000);
        assert_eq!(spans.span("lag", 1).unwrap(), 1);
        let error = spans.span("look-back", 1).unwrap_err().to_string();
        assert!(
            error.contains("`look-back` is a span of time, as in 5m, not `soon`"),
            "{error}"
        );
        let error = parse("kinesis://s?mode=x")
            .unwrap()
            .one_of("mode", &["poll", "efo"]);
        assert!(error.unwrap_err().to_string().contains("one of poll, efo"));
    }
}
