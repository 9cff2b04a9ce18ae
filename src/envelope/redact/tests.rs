//! Secrets in records of every form.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::envelope::RecordKind;

/// Calls `with` for the record after redaction, and for the number of hidden values.
fn redact<T>(json: &str, original: Option<&str>, with: impl FnOnce(&Record<'_>, u64) -> T) -> T {
    let text = format!(" {json} ");
    let mut tape = Tape::default();
    let Parsed::Document { start, end } = tape.parse(&text, 0) else {
        panic!("{json}");
    };
    let record = Record {
        text: &text,
        span: Span {
            start: start as u32,
            end: end as u32,
            escaped: false,
        },
        members: &tape.root,
        original,
        kind: RecordKind::Event,
        origin: &Arc::from("made"),
        byte: 0,
        delivered_micros: None,
    };
    let mut redactor = Redactor::default();
    let (redacted, count) = redactor.redact(&record);
    assert_eq!(
        count == 0,
        redacted.text.as_ptr() == text.as_ptr(),
        "{json}"
    );
    with(&redacted, count)
}

fn redacted(json: &str) -> (String, u64) {
    redact(json, None, |record, count| {
        let keys: Vec<&str> = record
            .members
            .iter()
            .map(|it| it.key.raw(record.text))
            .collect();
        let members = Members::new(record.json());
        let expected: Vec<&str> = members.map(|(key, _)| key.raw(record.json())).collect();
        assert_eq!(keys, expected);
        (record.json().to_owned(), count)
    })
}

#[test]
fn values_are_hidden_by_the_names_beside_them() {
    for (json, expected, count) in [
        (
            r#"{"environment":[{"name":"DB_PASSWORD","value":"x"},{"name":"REGION","value":"eu"}]}"#,
            r#"{"environment":[{"name":"DB_PASSWORD","value":"***"},{"name":"REGION","value":"eu"}]}"#,
            1,
        ),
        (
            r#"{"Parameters":[{"ParameterValue":"x","ParameterKey":"ApiToken"}],"password":{}}"#,
            r#"{"Parameters":[{"ParameterValue":"***","ParameterKey":"ApiToken"}],"password":{}}"#,
            1,
        ),
        (
            r#"[{"value":{"stringValue":"x","isNull":false},"name":"token"},{"key":"pwd","values":["a","b"]}]"#,
            r#"[{"value":{"stringValue":"***","isNull":false},"name":"token"},{"key":"pwd","values":["***","***"]}]"#,
            3,
        ),
        (
            r#"{"parameters":[{"parameterName":"password_encryption","parameterValue":"md5"}]}"#,
            r#"{"parameters":[{"parameterName":"password_encryption","parameterValue":"md5"}]}"#,
            0,
        ),
        (
            r#"{"tags":[{"key":"secret-arn","value":"x"},{"key":"secret","value":"arn:aws:x"}]}"#,
            r#"{"tags":[{"key":"secret-arn","value":"x"},{"key":"secret","value":"arn:aws:x"}]}"#,
            0,
        ),
    ] {
        let wrapped = |json: &str| format!(r#"{{"requestParameters":{json}}}"#);
        let (found, hidden) = redacted(&wrapped(json));
        assert_eq!((found, hidden), (wrapped(expected), count));
    }
}

#[test]
fn values_are_hidden_by_their_keys() {
    for (json, expected, count) in [
        (
            r#"{"masterUserPassword":"x","a":1}"#,
            r#"{"masterUserPassword":"***","a":1}"#,
            1,
        ),
        (
            r#"{"MASTER_USER-PASSWORD" : "x"}"#,
            r#"{"MASTER_USER-PASSWORD" : "***"}"#,
            1,
        ),
        (r#"{"p-a_ssw-ord":12.5e1}"#, r#"{"p-a_ssw-ord":"***"}"#, 1),
        (r#"{"pass\u0077ord":"x"}"#, r#"{"pass\u0077ord":"***"}"#, 1),
        (
            r#"{"a":[{"secretString":"{\"b\":1}"}]}"#,
            r#"{"a":[{"secretString":"***"}]}"#,
            1,
        ),
        (
            r#"{"clientSecret":["x",["y",null],{"z":"z","sessionToken":1}]}"#,
            r#"{"clientSecret":["***",["***",null],{"z":"z","sessionToken":"***"}]}"#,
            3,
        ),
        (
            r#"{"credentials":{"accessKeyId":"A","secretAccessKey":"b","sessionToken":"c","expiration":"d"}}"#,
            r#"{"credentials":{"accessKeyId":"A","secretAccessKey":"***","sessionToken":"***","expiration":"d"}}"#,
            2,
        ),
        (
            r#"{"credentials":"x","Authorization":"y","x-api-key":"z","X-Amz-Security-Token":"t"}"#,
            r#"{"credentials":"***","Authorization":"***","x-api-key":"***","X-Amz-Security-Token":"***"}"#,
            4,
        ),
        (
            r#"{"authToken":"a","privateKey":"b","passphrase":"c","secretBinary":[1,2]}"#,
            r#"{"authToken":"***","privateKey":"***","passphrase":"***","secretBinary":["***","***"]}"#,
            5,
        ),
        (
            r#"{"password":"\u0061rn","é":"password"}"#,
            r#"{"password":"***","é":"password"}"#,
            1,
        ),
    ] {
        assert_eq!(redacted(json), (expected.to_owned(), count), "{json}");
    }
}

#[test]
fn names_and_settings_stay() {
    for json in [
        "{}",
        r#"{"GetSigninToken":"Success","PasswordUpdated":"Success","subjectFromWebIdentityToken":"system:x"}"#,
        r#"{"masterUserSecret":{"secretArn":"arn:aws:x","secretStatus":"active","kmsKeyId":"k"}}"#,
        r#"{"secretArn":"x","secretId":"x","secretName":"x","clientPasswordAuthType":"x"}"#,
        r#"{"auth":[{"authScheme":"SECRETS","secretArn":"x","iAMAuth":"DISABLED"}]}"#,
        r#"{"nextToken":"x","continuationToken":"x","clientToken":"x","clientRequestToken":"x"}"#,
        r#"{"manageMasterUserPassword":true,"rotateMasterUserPassword":false,"password":null}"#,
        r#"{"minimumPasswordLength":14,"passwordReusePrevention":5,"maxPasswordAge":90}"#,
        r#"{"sessionCredentialFromConsole":"true","userIdentity":{"credentialId":"x"}}"#,
        r#"{"masterUserPassword":"****","secretString":"HIDDEN_DUE_TO_SECURITY_REASONS","password":""}"#,
        r#"{"secret":"arn:aws:secretsmanager:eu-west-1:1:secret:a","httpTokens":"required"}"#,
        r#"{"eventName":"GetSecretValue","resources":[{"type":"password"}],"x":["token"]}"#,
        r#"{"userAgent":"https://host:443/a@b","errorMessage":"a password, mailto:a@b.c \u0026 tokens"}"#,
        r#"{"url":"https://b/?X-Amz-Credential=AKIA%2F1\u0026X-Amz-Date=2"}"#,
    ] {
        assert_eq!(redacted(json), (json.to_owned(), 0), "{json}");
    }
}

#[test]
fn parts_of_texts_are_hidden() {
    for (text, expected, count) in [
        (
            "postgres://u:p@ss@host:5432/d?sslmode=x",
            "postgres://u:***@host:5432/d?sslmode=x",
            1,
        ),
        (
            "https://b.s3/k?X-Amz-Credential=A&X-Amz-Signature=ab12&X-Amz-Security-Token=I%2F&z=1",
            "https://b.s3/k?X-Amz-Credential=A&X-Amz-Signature=***&X-Amz-Security-Token=***&z=1",
            2,
        ),
        (
            "u=https%3A%2F%2Fb%3FX-Amz-Signature%3Dab",
            "u=https%3A%2F%2Fb%3FX-Amz-Signature%3D***",
            1,
        ),
        (
            "/k?AWSAccessKeyId=A&Expires=1&Signature=a%2Fb%3D",
            "/k?AWSAccessKeyId=A&Expires=1&Signature=***",
            1,
        ),
        (
            "https://b.blob/?sv=1&sig=x",
            "https://b.blob/?sv=1&sig=***",
            1,
        ),
        (
            "Server=a;Uid=b;Pwd='c;d';x=1",
            "Server=a;Uid=b;Pwd=***;x=1",
            1,
        ),
        (
            "host=a PASSWORD = \"b c\" user=d",
            "host=a PASSWORD = *** user=d",
            1,
        ),
        ("dbPassword=a\nb", "dbPassword=***\nb", 1),
        // The second pass sees the path's end.
        ("x://a:password='b/c'@h", "x://a:***@h", 2),
    ] {
        let json =
            |text: &str| serde_json::json!({"eventID": "e", "userAgent": [text]}).to_string();
        assert_eq!(redacted(&json(text)), (json(expected), count), "{text}");
    }
    let escaped = r#"{"a":"x:\/\/u\u003ap\u0040h","b":"\u0073ig=1","c":"\/"}"#;
    let expected = r#"{"a":"x://u:***@h","b":"sig=***","c":"\/"}"#;
    assert_eq!(redacted(escaped), (expected.to_owned(), 2));
}

#[test]
fn json_in_texts_is_looked_into() {
    let nested = |password: &str| {
        let inner = serde_json::json!({"password": password, "nextToken": "t"}).to_string();
        let middle = serde_json::json!([{"body": inner, "é\n": "\"\\"}]).to_string();
        serde_json::json!({"requestParameters": {"a": middle, "b": "[password"}}).to_string()
    };
    assert_eq!(redacted(&nested("x")), (nested(HIDDEN), 1));
}

#[test]
fn the_original_is_hidden_too() {
    let original = r#"{"userid":"{\"token\":\"x\"}","dropped":1}"#;
    redact(
        r#"{"userId":{"token":"x"}}"#,
        Some(original),
        |record, count| {
            assert_eq!(count, 1);
            assert_eq!(
                record.json(),
                r#"{"userid":"{\"token\":\"***\"}","dropped":1}"#
            );
            assert_eq!(record.members.len(), 1);
        },
    );
    let original = r#"{"a":1,"token":"x"}"#;
    let mut redactor = Redactor::default();
    let record = |with: &mut dyn FnMut(&Record<'_>)| {
        redact(r#"{"a":1}"#, None, |record, _| with(record));
    };
    record(&mut |record| {
        let record = Record {
            original: Some(original),
            ..*record
        };
        let (hidden, count) = redactor.redact(&record);
        assert_eq!((hidden.json(), count), (r#"{"a":1,"token":"***"}"#, 1));
    });
}

#[test]
fn events_that_differ_only_in_a_secret_have_one_fingerprint() {
    let fingerprint = |json| redact(json, None, |record, _| crate::events::fingerprint(record));
    let one = fingerprint(r#"{"eventID":"a","requestParameters":{"password":"x","b":"sig=1"}}"#);
    let two =
        fingerprint(r#"{"eventID":"a","requestParameters":{"b":"sig=2", "password":"\u0079"}}"#);
    let other = fingerprint(r#"{"eventID":"a","requestParameters":{"password":"x","c":"sig=1"}}"#);
    assert!(one.is_some());
    assert_eq!(one, two);
    assert_ne!(one, other);
}

/// Returns JSON values whose keys and texts are made of `words`.
fn values(words: &'static [&'static str]) -> impl Strategy<Value = serde_json::Value> {
    let text = prop::collection::vec(prop::sample::select(words), 0..6).prop_map(|it| it.concat());
    let leaf = prop_oneof![
        text.clone().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((text.clone(), inner.clone()), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            inner.prop_map(|inner| inner.to_string().into()),
        ]
    })
}

const WORDS: &[&str] = &[
    "password",
    "Pass_word",
    "=",
    "sig",
    "token",
    "next",
    "Id",
    "***",
    "://",
    "u:",
    "@",
    "/",
    "&",
    " ",
    "'",
    "\"",
    "{",
    "}",
    ":",
    ",",
    "é",
    "\\",
    "X-Amz-Signature=",
    "arn:",
    "pwd=",
];

const HARMLESS: &[&str] = &[
    "pass", "word", "=", "to", "ken", "x:y", "/", "&", "'", "\"", "\\", "é", "{", "}", "@",
];

proptest! {
    #[test]
    fn redaction_is_idempotent(value in values(WORDS)) {
        let json = serde_json::json!({"a": value}).to_string();
        let (once, _) = redacted(&json);
        let twice = redacted(&once);
        prop_assert_eq!(twice, (once, 0));
    }

    #[test]
    fn a_record_without_such_words_is_passed_on(value in values(HARMLESS)) {
        let json = serde_json::json!({"a": value}).to_string();
        prop_assume!(!json.contains("password") && !json.contains("token"));
        let count = redact(&json, None, |_, count| count);
        prop_assert_eq!(count, 0);
    }
}
