//! Records in other spellings than CloudTrail's, put into its own: keys in any case, as databases have
//! them; objects that became text; paths that became keys; and the rows that `SELECT *` writes.

use std::borrow::Cow;

use super::classify::{RECORD_FIELDS, RecordField};
use crate::json::{Elements, Member, Members, Parsed, Span, Tape, skip_space, unescape};

/// The column that is in every row of `SELECT *` and in no record: fields that are null.
pub(super) const NULL_FIELDS: &str = "nullFields";

/// The column of a row of `SELECT *` with the fields that have none.
const UNMAPPED: &str = "unmapped";

/// The field of records whose keys tables have in lower case.
const RESOURCES: &str = "resources";

/// The keys of an element of `resources`.
const RESOURCE_KEYS: [&str; 3] = ["ARN", "accountId", "type"];

/// Returns the record with these members in CloudTrail's spelling.
///
/// Keys that are not a record's fields stay as they are, and so do all values but text that is JSON in
/// a field of objects. From a row of `SELECT *` comes the record that the row was made of: columns that
/// are NULL are left out, those named by `nullFields` are null, and the members of `unmapped` replace
/// fields of the same name.
pub(super) fn respell(text: &str, members: &[Member]) -> String {
    let members: Vec<Field<'_>> = members
        .iter()
        .map(|member| Field::new(text, member.key, member.value))
        .collect();
    let column = |name: &str| members.iter().find(|field| field.is_named(name));
    let null_fields = column(NULL_FIELDS);
    let unmapped = column(UNMAPPED).filter(|_| null_fields.is_some());
    let unmapped = unmapped.and_then(Field::container);
    let unmapped = unmapped.as_deref().unwrap_or_default();
    let mut record = Builder::default();
    let replaced: Vec<Cow<'_, str>> = Members::new(unmapped)
        .map(|(key, _)| unescape(key.raw(unmapped)))
        .collect();
    for field in &members {
        let is_replaced = || {
            replaced
                .iter()
                .any(|key| key.eq_ignore_ascii_case(&field.key))
        };
        if null_fields.is_some()
            && (field.value == "null"
                || field.is_named(NULL_FIELDS)
                || field.is_named(UNMAPPED)
                || is_replaced())
        {
            continue;
        }
        match field.path(&members) {
            Some((parent, path)) => record.add_path(parent, path, field.value),
            None => record.add_field(field, null_fields.is_some()),
        }
    }
    if let Some(names) = null_fields.and_then(Field::container) {
        for name in Elements::at(&names, 0) {
            record.add(name.raw(&names).trim_matches('"'), "null");
        }
    }
    for (key, value) in Members::new(unmapped) {
        let field = Field::new(unmapped, key, value);
        let is_text = field
            .known
            .is_some_and(|known| known.is_container && known.name == field.key);
        match field.container().filter(|_| is_text) {
            Some(container) => record.add(field.raw_key, &container),
            None => record.add(field.raw_key, field.value),
        }
    }
    record.finish()
}

/// Returns the list of resources with its keys in CloudTrail's spelling, and without the NULLs of tables.
fn resources(list: &str) -> String {
    if !list.starts_with('[') {
        return list.to_owned();
    }
    let mut elements = Vec::new();
    for element in Elements::at(list, 0) {
        if element.first(list) != b'{' {
            elements.push(element.raw(list).to_owned());
            continue;
        }
        let mut resource = Builder::default();
        for (key, value) in Members::at(list, element.start as usize) {
            let key = key.raw(list);
            let known = RESOURCE_KEYS
                .iter()
                .find(|name| name.eq_ignore_ascii_case(key));
            match known {
                Some(_) if value.raw(list) == "null" => {}
                Some(name) => resource.add(name, value.raw(list)),
                None => resource.add(key, value.raw(list)),
            }
        }
        elements.push(resource.finish());
    }
    format!("[{}]", elements.join(","))
}

/// A member of a record.
struct Field<'a> {
    raw_key: &'a str,
    key: Cow<'a, str>,
    value: &'a str,
    /// The field of records with this name in any case.
    known: Option<&'static RecordField>,
}

impl<'a> Field<'a> {
    fn new(text: &'a str, key: Span, value: Span) -> Self {
        let raw_key = key.raw(text);
        let key = unescape(raw_key);
        Self {
            known: known(&key),
            raw_key,
            key,
            value: value.raw(text),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.key.eq_ignore_ascii_case(name)
    }

    /// Returns the object or array that the field is, or that its text is.
    fn container(&self) -> Option<Cow<'a, str>> {
        match self.value.as_bytes() {
            [b'{' | b'[', ..] => Some(Cow::Borrowed(self.value)),
            [b'"', ..] => {
                let content = unescape(&self.value[1..self.value.len() - 1]);
                is_container(&content).then_some(content)
            }
            _ => None,
        }
    }

    /// Splits a key like `userIdentity.userName` into field and path, unless the field is there itself.
    fn path(&self, members: &[Field<'_>]) -> Option<(&'static str, &str)> {
        let (parent, path) = self.key.split_once('.')?;
        let parent = known(parent).filter(|field| field.is_container)?;
        let is_alone = !members.iter().any(|field| field.is_named(parent.name));
        (is_alone && !path.is_empty()).then_some((parent.name, path))
    }
}

fn known(key: &str) -> Option<&'static RecordField> {
    RECORD_FIELDS.iter().find(|field| field.is_named(key))
}

/// The names inside of objects that databases have as columns, whose names have no case.
#[rustfmt::skip]
const IDENTITY_NAMES: &[&str] = &[
    "principalId", "accountId", "accessKeyId", "userName", "invokedBy", "identityProvider", "credentialId",
    "sessionContext", "sessionIssuer", "webIdFederationData", "federatedProvider", "mfaAuthenticated",
    "creationDate", "sourceIdentity", "ec2RoleDelivery", "assumedRoot", "inScopeOf", "sourceArn", "sourceAccount",
    "issuerType", "credentialsIssuedTo", "onBehalfOf", "userId", "identityStoreArn",
];

fn inner_names(field: &str) -> &'static [&'static str] {
    match field {
        "userIdentity" => IDENTITY_NAMES,
        "tlsDetails" => &["tlsVersion", "cipherSuite", "clientProvidedHostHeader"],
        _ => &[],
    }
}

/// Gives the members of an object or array these names, where they have them in lower case.
fn with_names<'a>(json: &'a str, names: &[&str]) -> Cow<'a, str> {
    let start = skip_space(json.as_bytes(), 0);
    let parts: Vec<String> = match json.as_bytes().get(start) {
        Some(_) if names.is_empty() => return Cow::Borrowed(json),
        Some(b'{') => Members::at(json, start)
            .map(|(key, value)| {
                let key = key.raw(json);
                let is_lower = !key.bytes().any(|byte| byte.is_ascii_uppercase());
                let name = names
                    .iter()
                    .find(|name| is_lower && name.eq_ignore_ascii_case(key));
                let name = name.copied().unwrap_or(key);
                format!("\"{name}\":{}", with_names(value.raw(json), names))
            })
            .collect(),
        Some(b'[') => Elements::at(json, start)
            .map(|element| with_names(element.raw(json), names).into_owned())
            .collect(),
        _ => return Cow::Borrowed(json),
    };
    let parts = parts.join(",");
    Cow::Owned(match json.as_bytes()[start] {
        b'{' => format!("{{{parts}}}"),
        _ => format!("[{parts}]"),
    })
}

/// Returns whether the text is one JSON object or array.
pub(super) fn is_container(text: &str) -> bool {
    let start = skip_space(text.as_bytes(), 0);
    matches!(text.as_bytes().get(start), Some(b'{' | b'['))
        && match Tape::default().parse(text, start) {
            Parsed::Document { end, .. } => skip_space(text.as_bytes(), end) == text.len(),
            _ => false,
        }
}

/// A record that is put together.
#[derive(Default)]
struct Builder<'a> {
    text: String,
    /// Objects out of paths.
    objects: Vec<(&'static str, Object<'a>)>,
}

/// An object out of paths: its members, each a value or an object.
#[derive(Default)]
struct Object<'a>(Vec<(&'a str, Content<'a>)>);

enum Content<'a> {
    Value(&'a str),
    Object(Object<'a>),
}

impl<'a> Builder<'a> {
    fn add(&mut self, raw_key: &str, value: &str) {
        self.text.push(match self.text.is_empty() {
            true => '{',
            false => ',',
        });
        self.text.push('"');
        self.text.push_str(raw_key);
        self.text.push_str("\":");
        self.text.push_str(value);
    }

    /// Adds a field, of a row of `SELECT *` or another record.
    fn add_field(&mut self, field: &Field<'_>, is_row: bool) {
        match (field.known, field.container()) {
            (Some(known), Some(list)) if known.name == RESOURCES => {
                self.add(known.name, &resources(&list));
            }
            // The row has other objects byte for byte.
            (Some(known), Some(container)) if known.is_container && is_row => {
                self.add(known.name, &container);
            }
            (Some(known), Some(container)) if known.is_container => {
                self.add(known.name, &with_names(&container, inner_names(known.name)));
            }
            (Some(known), _) => self.add(known.name, field.value),
            (None, _) => self.add(field.raw_key, field.value),
        }
    }

    fn add_path(&mut self, parent: &'static str, path: &'a str, value: &'a str) {
        let known = self.objects.iter().position(|(name, _)| *name == parent);
        let index = known.unwrap_or_else(|| {
            self.objects.push((parent, Object::default()));
            self.objects.len() - 1
        });
        self.objects[index].1.add(path, value);
    }

    fn finish(mut self) -> String {
        for (name, object) in std::mem::take(&mut self.objects) {
            self.add(name, &object.json());
        }
        if self.text.is_empty() {
            self.text.push('{');
        }
        self.text.push('}');
        self.text
    }
}

impl<'a> Object<'a> {
    fn add(&mut self, path: &'a str, value: &'a str) {
        let Some((key, rest)) = path.split_once('.') else {
            return self.0.push((path, Content::Value(value)));
        };
        let known = self.0.iter_mut().find_map(|(name, content)| match content {
            Content::Object(object) if *name == key => Some(object),
            _ => None,
        });
        if let Some(object) = known {
            return object.add(rest, value);
        }
        let mut object = Object::default();
        object.add(rest, value);
        self.0.push((key, Content::Object(object)));
    }

    fn json(&self) -> String {
        let members: Vec<String> = self
            .0
            .iter()
            .map(|(key, content)| {
                let key = serde_json::Value::from(*key);
                match content {
                    Content::Value(value) => format!("{key}:{value}"),
                    Content::Object(object) => format!("{key}:{}", object.json()),
                }
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respelled(text: &str) -> serde_json::Value {
        let mut tape = Tape::default();
        assert!(
            matches!(tape.parse(text, 0), Parsed::Document { .. }),
            "{text}"
        );
        serde_json::from_str(&respell(text, &tape.root)).expect("a record is JSON")
    }

    #[test]
    fn keys_get_their_case_and_objects_their_form() {
        let row = r#"{"EVENTNAME":"a","useridentity":"{\"userName\":\"b\"}","requestparameters":"none",
            "resources":"[{\"arn\":\"c\"}]","useragent":"{}","Extra":"{}","responseelements":null}"#;
        assert_eq!(
            respelled(row),
            serde_json::json!({
                "eventName": "a", "userIdentity": {"userName": "b"}, "requestParameters": "none",
                "resources": [{"ARN": "c"}], "userAgent": "{}", "Extra": "{}", "responseElements": null,
            })
        );
    }

    #[test]
    fn paths_become_objects_where_there_is_none() {
        let row = r#"{"userIdentity.type":"a","userIdentity.sessionContext.sessionIssuer.arn":1,
            "userIdentity.sessionContext.x":[2],"a.b":3,"tlsDetails":{},"tlsDetails.tlsVersion":4}"#;
        assert_eq!(
            respelled(row),
            serde_json::json!({
                "userIdentity": {"type": "a", "sessionContext": {"sessionIssuer": {"arn": 1}, "x": [2]}},
                "a.b": 3, "tlsDetails": {}, "tlsDetails.tlsVersion": 4,
            })
        );
    }

    #[test]
    fn a_row_becomes_its_record() {
        let row = r#"{"eventname":"a","errorcode":null,"readonly":true,"apiversion":"x",
            "nullfields":["responseElements"],"unmapped":"{\"apiVersion\":20140101,\"new\":{}}"}"#;
        let record = serde_json::json!({
            "eventName": "a", "readOnly": true, "responseElements": null, "apiVersion": 20140101, "new": {},
        });
        assert_eq!(respelled(row), record);
        let text = row.replace(r#"["responseElements"]"#, r#""[\"responseElements\"]""#);
        assert_eq!(respelled(&text), record);
        let plain = r#"{"eventname":"a","errorcode":null,"nullfields":null,"unmapped":null}"#;
        assert_eq!(respelled(plain), serde_json::json!({"eventName": "a"}));
    }
}
