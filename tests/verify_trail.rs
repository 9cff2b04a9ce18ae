//! `verify-trail` over chains that are made here, whole and tampered with in every way.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use object_store::aws::AmazonS3Builder;
use object_store::{Attribute, Attributes, PutOptions};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::moto_server::Moto;
use crate::moto_server::python::environment;

/// RSA keys, made for these tests and used for nothing else: PKCS #1 in DER.
const KEYS: [&str; 2] = [
    "MIIEogIBAAKCAQEAkxJHohcFXwnF7MzabkJslhCAdGn7zCbGJq339PMg9b2HKHziLP+w4bTX6XJ/LyoqLjL3k4yPAAtGBBbG\
    V4R4inQx7Cvwm35z3w12c2LTaEoW6TpIYwjfx6Bb00ShGY/sftCEBG/RAixKErHkIzIA3BXB2YjuOubGKm+qhPOF6CjwafFX\
    zzMTWmH2v50DUoV46mwDrgUkb/192IWIyQwDMF6j01tg+bQjDzGvBYJNmvVVKNwZYFl/RH/YaqPa2kKxWnHp0eQX8oUv4I/D\
    BW5RnMZHIAE/uxbDaMyz0Gzj3Cy0eIAUgWxhgbsW1qvrrS0XIG1ua5ijxTkIInuGFMOtewIDAQABAoIBAB2zpeLe2ldYvm+1\
    6XE2Gf7ugzq/gro2pHMAVGDUTzZB2g97tSPYWa0jnC1J0dTBI7aj1WsnimO8Yx4FSXY4Sy3PDJwBPbzxe04zRlZEQaTAvcLJ\
    YgAaNTN4N8NBi3WBowXzb44D1Qam0ijXY1cWTKUmAbnAlTgxDhlY5uul0MfTWjbgE9l5bDorFsbGN3FCA5q8siW82+jls3NO\
    ZDtLqme+w78otVgiofu79yofR3YY+Y2dFVBuFluKcFULxZ1LIxJDoOSjSerzaF7NTJzeCRKDAwWT2+5E2aQu6FclZEpuxRRe\
    /VIiRHZm/1gRBm3H1zvgCiLTOe2DWxntLG2tti0CgYEAz96LE9FEWK3KOc9PH8R6WQDNNLATB8OCR8RYaK9t+DEdo58DR7Q1\
    7Ay2krMTos4oGQyyy4YIyuSQJCMtataXO5TYY9NqabwV6eflegXdqBgI2sAj9wulrPPYdnx8uTFalJlCLL1WEbFORxAPZKBg\
    iCUy773ZQ7lLaqpu8RHUkPcCgYEAtR/wlcJG21TNpSGlR/qGAa0h4Z6ZgPnbRCPngN+uPOkfm2zD8IVjttLcsU0sIR3uwF5M\
    ZEoGw7hXsFfmuVaaYj0KuA4yYB1wSFYwk+gF6gDp12a5MRXwVwd6U7SYTCu+QpaLOwpL73WHSTQDCjEloLa20Jgnq+4T/zex\
    eYoD6p0CgYBALLuRRbUtD5J0YI1UCGuhWL8Bui5V4kUxdOu6fhacXkWBQ1FW7MsM8ivXhJPWWoFEoof8j4fdY80gav/VkSSl\
    j2FzCE09EYVObnqJPpBdGfZ52oH//keK6sl0YyB6aENHxz0H5PhShAPfqpSmA2FqBtn/7APMhcNDzhRsNo4CpwKBgGWJITKi\
    9VvRP3M52FDwdR0NdHfpk/4Ek1Gwmv/Y5PFKcqiLoY/9BvgfXw6Zx4pNIGGAu2xhP0eK2MWHkVUG4ob91zt04fKVrjMu9g6E\
    PISAvJY/BMQqm0/+Zin0jIfu4bqscCLJ0+XKSevUl3uoL4LXysZG9b5hOZ6SFxCeOTHVAoGAWJWkIaIK2QeRweHqeRbPXHQ6\
    0kZVumr91svyOCS6+YLR/jm/xIxQONgyCRGSW36jNHQ0Tax+zM10RSeO7BUvBZ2gXhsIz7O3743XU/bo20NfYq4vwoyv3WZw\
    agTcdsvy818CySqi1xFSSbf8v58+MaqYgQySxNtCI1VJ8eOqI94=",
    "MIIEpAIBAAKCAQEAtmAu68zzZ95NOP9oiHL0aBcIqnYscNz3EA3xd6cSWChdylRGLCn5CuIMBes5t7fnbkP0kNXBaj/POftt\
    HrSOKqF5BJPrHWF6d+VGhMwhSsCWbTjm3g4Pmtx596/q+jpqaqX+tJqX8WqwsN0E27xYQ0KD8m0kD9SEXpnbTTiHE6pqpYyh\
    sgjq5mCKfJKmtAzIoGeo1V5+EswkjOOELLDZ/T9pM/1RtOTa9ciU378PG+BHobMurl694nCkbFpXD2lFT2sUJVJYcdYarCud\
    gvzS5gSTZuV/Y5y1wLL7UmGpTR6D3JPHTsYa8M6BvDvHrjeIUvzf8T2Mo/79Xk2ovv6/jQIDAQABAoIBABtVIvMYDkq82Fn4\
    fVQl1ldbTGMvvs1TcHupe0zxbyBjPFs8ch/gUoC9DAw/CrFsEHVIHfku8APaeFY6RkpZyQy+koKLIKuQlmgtpnn0lfC8GE9a\
    Pc99z/znmify54aFBrnhEuFCYg8+bCi1lyrPeXLrHxdQIB13PjdnW6ShGi1qFfJwjVoRp/mHHYI1D/DWSrsAEqM20hnWbUd2\
    ibDflIe+dntLdH9w0hR0j85JtEek4Hu9meW9zc64SVeYO5sGN31wyvHVvjMQcoP/NgDoFoyDi4IUd5Ic+swAhpzSOjbwHaAS\
    TBAhQQvjIPOHTkeoJ9kiKgNlaNX1+2WDyzHZeYkCgYEA7P86wTgpOaaPPe4+yjKCrMGRfd7ufc9Q8hClmZC+eo/WBOweTB6W\
    ER5unoSfge2j/dWDv3/hmBHsrKzhweRxiLs4a96xjuAoKz9G2hediBWos7ZwmNsZPMwDhyY1Og0/SZ/QDN+3GdWmiBv6tGNS\
    N7mQM4HsiN4xjwbyaql75FcCgYEAxP/CHRWoYjFMMIdhM8VMtqgU1cCNKIqR5VbERaPI8ldjSXDzGLHZW1lXdBD1Qs+lN+bS\
    B9RDZttAWzYFWUrSjlmz+f78iBNN+pGz+L5Az8bD0PJmKE2y7/Aq+xi1PkVjkMPHHPHC0Jjvp7dJu8wBUgZ5x6gz+TUFpEEr\
    yaPALLsCgYEAjz0ri8Cf2gI7LRkjxh2FMVjE0Ki+yDdXGxbIn+oF1hm9Jrh3D1alKK+V+CT8KxEwPqifukxWUwzyWOMch43E\
    uPk+/qNX+ZytaoYSEpqXUbqVfhjUMO6rcD12HGcRYIbFK4B1xHIqPmkM/9K5UfF9rcRvzVHHXmm81k9CkQjion0CgYEAivzf\
    WWHUYSLi3EJHpB0JmL1RpdWqQfYyJRpoc7GwrrpVBJW6Daw87CRGfU8Rm0ehC6XAfWGXBFSgPToJ4AvYLjK/thve06q7E5QE\
    4/RnCbD0qtC6nqjjHEHYMTwnc33FV3epXZR8nGuqeivoy6SNMe/7r4/Oy35LMq4AVM1BYs0CgYB31jRZUfchN1AnQy0/mjWm\
    Im2nEwkvuRIBD6y0H6g0HYE/bPH19SmrAOM6mtKdYGyfMec5vrKG44uOh1Pte8a43bj5POknTCdG44qZ9rBpvR0/fTdlSoBO\
    Tt3VBlPve3mqsiSmytRovSqugFJcKE44ju4VdocccpCPrBBgFjBwmA==",
];

const BUCKET: &str = "trails";

/// The objects of a bucket: bytes and metadata.
#[derive(Clone, Default)]
struct Files(BTreeMap<String, (Vec<u8>, BTreeMap<String, String>)>);

/// A trail that delivers log files and digest files.
#[derive(Clone)]
struct Trail {
    /// `AWSLogs/`, with the trail's prefix and the organization.
    root: String,
    name: &'static str,
    is_backfill: bool,
    fingerprint: &'static str,
    key: usize,
    /// The digest file before: key, hash, signature.
    previous: Option<(String, String, String)>,
}

impl Trail {
    fn new(name: &'static str) -> Self {
        Self {
            root: "AWSLogs/".to_owned(),
            name,
            is_backfill: false,
            fingerprint: "fp0",
            key: 0,
            previous: None,
        }
    }

    fn digest_key(&self, hour: u32) -> String {
        let end = if self.is_backfill { "_backfill" } else { "" };
        format!(
            "{}111122223333/CloudTrail-Digest/eu-west-1/2026/11/05/111122223333_CloudTrail-Digest_\
             eu-west-1_{}_us-east-1_20261105T{hour:02}0000Z{end}.json.gz",
            self.root, self.name
        )
    }

    fn log_key(&self, hour: u32, minute: u32) -> String {
        format!(
            "{}111122223333/CloudTrail/eu-west-1/2026/11/05/111122223333_CloudTrail_eu-west-1_\
             20261105T{hour:02}{minute:02}Z_{}{}.json.gz",
            self.root,
            self.name,
            if self.is_backfill { "Late" } else { "" }
        )
    }

    /// Delivers two log files in the hour before, and the digest file over them.
    fn deliver(&mut self, files: &mut Files, hour: u32) {
        let logs = [5, 35].map(|minute| {
            let key = self.log_key(hour - 1, minute);
            let text = format!("{{\"Records\": [{{\"eventID\": \"{hour}-{minute}\"}}]}}");
            files.put(&key, gzip(text.as_bytes()));
            json!({
                "s3Bucket": BUCKET, "s3Object": key, "hashAlgorithm": "SHA-256",
                "hashValue": sha256(text.as_bytes()),
            })
        });
        let previous = self.previous.clone();
        let document = json!({
            "awsAccountId": "111122223333",
            "digestStartTime": format!("2026-11-05T{:02}:00:00Z", hour - 1),
            "digestEndTime": format!("2026-11-05T{hour:02}:00:00Z"),
            "digestS3Bucket": BUCKET,
            "digestS3Object": self.digest_key(hour),
            "digestPublicKeyFingerprint": self.fingerprint,
            "digestSignatureAlgorithm": "SHA256withRSA",
            "previousDigestS3Bucket": previous.as_ref().map(|_| BUCKET),
            "previousDigestS3Object": previous.as_ref().map(|it| &it.0),
            "previousDigestHashValue": previous.as_ref().map(|it| &it.1),
            "previousDigestHashAlgorithm": previous.as_ref().map(|_| "SHA-256"),
            "previousDigestSignature": previous.as_ref().map(|it| &it.2),
            "logFiles": logs,
        });
        self.put(files, hour, &document);
    }

    /// Signs a digest file and puts it to its place.
    fn put(&mut self, files: &mut Files, hour: u32, document: &Value) {
        let key = self.digest_key(hour);
        let text = document.to_string();
        let signature = sign(self.key, document, &text);
        files.put(&key, gzip(text.as_bytes()));
        let metadata = files.metadata(&key);
        metadata.insert("signature".to_owned(), signature.clone());
        metadata.insert("signature-algorithm".to_owned(), "SHA256withRSA".to_owned());
        if self.is_backfill {
            let made = "2026-11-05T20:00:00Z".to_owned();
            metadata.insert("backfill-generation-timestamp".to_owned(), made);
        }
        self.previous = Some((key, sha256(text.as_bytes()), signature));
    }
}

impl Files {
    fn put(&mut self, key: &str, bytes: Vec<u8>) {
        self.0.insert(key.to_owned(), (bytes, BTreeMap::new()));
    }

    fn metadata(&mut self, key: &str) -> &mut BTreeMap<String, String> {
        &mut self.0.get_mut(key).unwrap().1
    }

    fn bytes(&mut self, key: &str) -> &mut Vec<u8> {
        &mut self.0.get_mut(key).unwrap().0
    }

    fn remove(&mut self, key: &str) {
        self.0.remove(key).unwrap();
    }

    /// Changes the document of a digest file, and leaves its metadata.
    fn edit(&mut self, key: &str, change: impl FnOnce(&mut Value)) {
        let mut document = self.document(key);
        change(&mut document);
        *self.bytes(key) = gzip(document.to_string().as_bytes());
    }

    fn document(&mut self, key: &str) -> Value {
        let mut text = String::new();
        let bytes = self.bytes(key);
        GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Writes a copy of the bucket, with the answers of `head-object` beside digest files.
    fn write(&self, folder: &Path) {
        for (key, (bytes, metadata)) in &self.0 {
            let path = folder.join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            if !metadata.is_empty() {
                let answer = json!({"ContentLength": bytes.len(), "Metadata": metadata});
                let beside = folder.join(format!("{key}.head.json"));
                std::fs::write(beside, answer.to_string()).unwrap();
            }
        }
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

fn key_pair(key: usize) -> RsaKeyPair {
    RsaKeyPair::from_der(&BASE64_STANDARD.decode(KEYS[key]).unwrap()).unwrap()
}

/// Signs a document as CloudTrail does.
fn sign(key: usize, document: &Value, text: &str) -> String {
    let member = |name: &str| document[name].as_str().unwrap_or("null").to_owned();
    let signed = format!(
        "{}\n{}/{}\n{}\n{}",
        member("digestEndTime"),
        member("digestS3Bucket"),
        member("digestS3Object"),
        sha256(text.as_bytes()),
        member("previousDigestSignature")
    );
    let key = key_pair(key);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    hex(&signature)
}

/// Returns a list of public keys, by their fingerprints.
fn public_keys(keys: &[(&str, usize)]) -> Value {
    let list = keys.iter().map(|(fingerprint, key)| {
        json!({
            "Value": BASE64_STANDARD.encode(key_pair(*key).public().as_ref()),
            "ValidityStartTime": 1_700_000_000.0, "ValidityEndTime": 1_900_000_000,
            "Fingerprint": fingerprint,
        })
    });
    json!({"PublicKeyList": list.collect::<Vec<_>>()})
}

/// A chain of the digest files of four hours, 09:00 to 12:00.
fn chain() -> (Trail, Files) {
    let mut trail = Trail::new("main");
    let mut files = Files::default();
    for hour in 9..=12 {
        trail.deliver(&mut files, hour);
    }
    (trail, files)
}

fn command(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_auroratrail"))
        .arg("verify-trail")
        .args(arguments)
        .args(["--until", "2026-11-05T12:30:00Z"])
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Verifies a copy of the files; returns the outcome and each finding as `verdict name`.
fn verified(files: &Files, arguments: &[&str]) -> (Value, Vec<String>) {
    let folder = TempDir::new().unwrap();
    files.write(&folder.path().join("copy"));
    let keys = public_keys(&[("fp0", 0), ("fp1", 1)]).to_string();
    std::fs::write(folder.path().join("keys.json"), keys).unwrap();
    let mut all = vec!["copy", "--public-keys", "keys.json", "--format", "json"];
    all.extend(arguments);
    outcome(&command(folder.path(), &all))
}

/// Returns the JSON of a command and its findings, and checks that the exit status agrees with it.
fn outcome(output: &Output) -> (Value, Vec<String>) {
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    let code = if report["is_whole"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{report:#}\n{said}");
    let findings = report["findings"].as_array().unwrap().iter().map(|it| {
        let name = it["name"].as_str().unwrap().rsplit('/').next().unwrap();
        let name = name.trim_start_matches("111122223333_CloudTrail");
        format!("{} {name}", it["verdict"].as_str().unwrap())
    });
    let findings = findings.collect();
    (report, findings)
}

/// Returns the counts of digest files and log files: valid, invalid, not checked.
fn counts(report: &Value, kind: &str) -> [u64; 3] {
    ["valid", "invalid", "not_checked"].map(|it| report[kind][it].as_u64().unwrap())
}

fn digest_name(hour: u32) -> String {
    format!("-Digest_eu-west-1_main_us-east-1_20261105T{hour:02}0000Z.json.gz")
}

#[test]
fn a_whole_trail_is_whole() {
    let (_, files) = chain();
    for arguments in [&[][..], &["--strict"], &["--bucket", BUCKET]] {
        let (report, findings) = verified(&files, arguments);
        assert_eq!(findings, [""; 0]);
        assert_eq!(counts(&report, "digests"), [4, 0, 0]);
        assert_eq!(counts(&report, "logs"), [8, 0, 0]);
        assert_eq!(report["covered_from"], "2026-11-05T08:00:00Z");
        assert_eq!(report["covered_until"], "2026-11-05T12:00:00Z");
    }
}

#[test]
fn only_the_time_that_is_asked_for_is_verified() {
    let (_, files) = chain();
    let (report, findings) = verified(&files, &["--since", "2026-11-05T11:30:00Z"]);
    assert_eq!(findings, [""; 0]);
    // As validate-logs: the last digest file is the one that starts before.
    assert_eq!(counts(&report, "digests"), [1, 0, 0]);
    assert_eq!(counts(&report, "logs"), [2, 0, 0]);
    let (report, _) = verified(&files, &["--since", "2026-11-05T10:30:00Z"]);
    assert_eq!(counts(&report, "digests"), [2, 0, 0]);
}

#[test]
fn log_files_are_compared_with_their_digest() {
    let (trail, whole) = chain();
    let key = trail.log_key(9, 35);
    let name = "_eu-west-1_20261105T0935Z_main.json.gz";
    let check = |change: &dyn Fn(&mut Files), verdict: &str| {
        let mut files = whole.clone();
        change(&mut files);
        let (report, findings) = verified(&files, &[]);
        assert_eq!(findings, [format!("{verdict} {name}")]);
        assert_eq!(counts(&report, "digests"), [4, 0, 0]);
        assert_eq!(counts(&report, "logs"), [7, 1, 0]);
    };
    check(
        &|files| *files.bytes(&key) = gzip(b"{\"Records\": []}"),
        "changed",
    );
    check(&|files| files.remove(&key), "missing");
    check(&|files| files.bytes(&key).push(0), "trailing_bytes");
    let more = gzip(b"{\"Records\": [{}]}");
    check(&|files| files.bytes(&key).extend(&more), "trailing_bytes");
    check(&|files| files.bytes(&key).truncate(20), "not_gzip");
    check(&|files| *files.bytes(&key) = b"{}".to_vec(), "not_gzip");
}

#[test]
fn a_log_file_that_no_digest_names_is_extra_unless_one_may_come() {
    let (trail, mut files) = chain();
    files.put(&trail.log_key(9, 40), gzip(b"{}"));
    files.put(&trail.log_key(11, 55), gzip(b"{}"));
    files.put(&trail.log_key(12, 5), gzip(b"{}"));
    files.put(&trail.log_key(7, 5), gzip(b"{}"));
    let (report, findings) = verified(&files, &[]);
    assert_eq!(findings, ["extra _eu-west-1_20261105T0940Z_main.json.gz"]);
    assert_eq!(counts(&report, "logs"), [8, 0, 0]);
    assert_eq!(report["extra"], 1);
}

#[test]
fn a_digest_that_was_changed_is_told_and_the_walk_goes_on() {
    let (trail, whole) = chain();
    let key = trail.digest_key(10);
    let check = |change: &dyn Fn(&mut Files), verdict: &str| {
        let mut files = whole.clone();
        change(&mut files);
        let (report, findings) = verified(&files, &[]);
        assert_eq!(findings, [format!("{verdict} {}", digest_name(10))]);
        assert_eq!(counts(&report, "digests"), [3, 1, 0]);
        // What a wrong digest file says of its log files is not looked at.
        assert_eq!(counts(&report, "logs"), [6, 0, 0]);
    };
    let edit = |name: &'static str, value: Value| {
        let key = key.clone();
        move |files: &mut Files| {
            files.edit(&key, |it| {
                it[name] = value.clone();
            });
        }
    };
    check(&edit("logFiles", json!([])), "signature_wrong");
    check(
        &edit("previousDigestSignature", json!("00ff")),
        "signature_wrong",
    );
    check(
        &edit("previousDigestSignature", Value::Null),
        "signature_wrong",
    );
    check(
        &edit("digestEndTime", json!("2026-11-05T10:00:01Z")),
        "signature_wrong",
    );
    check(&edit("digestS3Object", json!("x")), "moved");
    check(&edit("digestS3Bucket", json!("other")), "moved");
    check(
        &edit("digestPublicKeyFingerprint", json!("fp9")),
        "key_unknown",
    );
    check(
        &edit("digestPublicKeyFingerprint", json!("fp1")),
        "signature_wrong",
    );
    check(&edit("digestStartTime", Value::Null), "malformed");
    check(&|files| files.remove(&key), "missing");
    check(&|files| files.bytes(&key).push(0), "malformed");
    check(&|files| *files.bytes(&key) = gzip(b"{"), "malformed");
    let another = whole.clone().metadata(&trail.digest_key(11))["signature"].clone();
    let set = |value: &str| {
        let (key, value) = (key.clone(), value.to_owned());
        move |files: &mut Files| {
            files
                .metadata(&key)
                .insert("signature".to_owned(), value.clone());
        }
    };
    check(&set(&another), "signature_wrong");
    check(&set("no hex"), "signature_wrong");
    check(&set(""), "signature_wrong");
    let strip = |files: &mut Files| {
        files.metadata(&key).remove("signature");
    };
    check(&strip, "signature_wrong");
}

#[test]
fn the_signature_of_another_key_is_wrong() {
    let (mut trail, mut files) = chain();
    trail.key = 1;
    trail.deliver(&mut files, 13);
    let (_, findings) = verified(&files, &[]);
    assert_eq!(findings, [format!("signature_wrong {}", digest_name(13))]);
    trail.fingerprint = "fp1";
    trail.previous = None;
    trail.deliver(&mut files, 13);
    let (_, findings) = verified(&files, &[]);
    assert_eq!(findings, ["gap main"]);
}

#[test]
fn a_copy_without_metadata_is_not_checked_but_walked_along() {
    let (trail, mut files) = chain();
    files.metadata(&trail.digest_key(10)).clear();
    let (report, findings) = verified(&files, &[]);
    assert_eq!(findings, [format!("not_checked {}", digest_name(10))]);
    assert_eq!(counts(&report, "digests"), [3, 0, 1]);
    assert_eq!(counts(&report, "logs"), [8, 0, 0]);
}

#[test]
fn a_digest_at_another_place_has_moved() {
    let (trail, mut files) = chain();
    let moved = files.0.remove(&trail.digest_key(12)).unwrap();
    files.0.insert(trail.digest_key(13), moved);
    let (report, findings) = verified(&files, &[]);
    assert_eq!(findings, [format!("moved {}", digest_name(13))]);
    assert_eq!(counts(&report, "digests"), [3, 1, 0]);
    let (_, whole) = chain();
    let (report, findings) = verified(&whole, &["--bucket", "other"]);
    assert_eq!(findings.len(), 4);
    assert_eq!(counts(&report, "digests"), [0, 4, 0]);
}

#[test]
fn a_copy_of_a_digest_under_another_time_has_moved_too() {
    let (trail, mut files) = chain();
    let copy = files.0[&trail.digest_key(11)].clone();
    let between = trail.digest_key(10).replace("T100000Z", "T103000Z");
    files.0.insert(between, copy);
    let (report, findings) = verified(&files, &[]);
    let name = digest_name(10).replace("T100000Z", "T103000Z");
    assert_eq!(findings, [format!("moved {name}")]);
    assert_eq!(counts(&report, "digests"), [4, 1, 0]);
}

#[test]
fn a_gap_is_told_and_is_no_fault() {
    let mut files = Files::default();
    let mut trail = Trail::new("main");
    trail.deliver(&mut files, 9);
    trail.previous = None;
    trail.deliver(&mut files, 12);
    let (report, findings) = verified(&files, &["--strict"]);
    assert_eq!(findings, ["gap main"]);
    assert_eq!(
        report["findings"][0]["detail"],
        "between 2026-11-05T09:00:00Z and 2026-11-05T11:00:00Z"
    );
    assert_eq!(
        (&report["gaps"], &report["is_whole"]),
        (&json!(1), &json!(true))
    );
}

#[test]
fn strict_looks_at_hashes_of_links_and_at_times() {
    let mut files = Files::default();
    let mut trail = Trail::new("main");
    trail.deliver(&mut files, 9);
    trail.deliver(&mut files, 11);
    let (_, findings) = verified(&files, &[]);
    assert_eq!(findings, [""; 0]);
    let (_, findings) = verified(&files, &["--strict"]);
    assert_eq!(findings, ["not_covered main"]);

    // Another digest file, signed as well, in the place of the one that the link means.
    let (mut trail, mut files) = chain();
    let mut document = files.document(&trail.digest_key(11));
    document["newestEventTime"] = json!("2026-11-05T10:59:00Z");
    trail.put(&mut files, 11, &document);
    let (_, findings) = verified(&files, &[]);
    assert_eq!(findings, [""; 0]);
    let (report, findings) = verified(&files, &["--strict"]);
    assert_eq!(findings, [format!("hash_wrong {}", digest_name(11))]);
    assert_eq!(counts(&report, "digests"), [3, 1, 0]);
}

#[test]
fn trails_backfills_and_organizations_have_chains_of_their_own() {
    let (_, mut files) = chain();
    let mut second = Trail::new("second");
    let mut late = Trail {
        is_backfill: true,
        ..Trail::new("main")
    };
    let mut organization = Trail {
        root: "org/AWSLogs/o-abc123/".to_owned(),
        ..Trail::new("main")
    };
    for hour in 10..=11 {
        for trail in [&mut second, &mut late, &mut organization] {
            trail.deliver(&mut files, hour);
        }
    }
    let (report, findings) = verified(&files, &["--strict"]);
    assert_eq!(findings, [""; 0]);
    assert_eq!(report["chains"], 4);
    assert_eq!(counts(&report, "digests"), [8, 0, 0]);
    assert_eq!(counts(&report, "backfill_digests"), [2, 0, 0]);
    assert_eq!(counts(&report, "logs"), [20, 0, 0]);

    files.edit(&late.digest_key(11), |it| it["logFiles"] = json!([]));
    files
        .metadata(&late.digest_key(10))
        .remove("backfill-generation-timestamp");
    files.remove(&organization.log_key(9, 5));
    let (report, findings) = verified(&files, &[]);
    assert_eq!(counts(&report, "backfill_digests"), [0, 2, 0]);
    let backfill = |hour| digest_name(hour).replace(".json", "_backfill.json");
    assert_eq!(
        findings[..2],
        [
            format!("signature_wrong {}", backfill(11)),
            format!("malformed {}", backfill(10)),
        ]
    );
    assert!(findings.contains(&"missing _eu-west-1_20261105T0905Z_main.json.gz".to_owned()));
}

#[test]
fn any_folder_of_a_copy_may_be_named_and_its_prefix_may_be_gone() {
    let mut files = Files::default();
    let mut trail = Trail {
        root: "a/b/AWSLogs/".to_owned(),
        ..Trail::new("main")
    };
    trail.deliver(&mut files, 11);
    trail.deliver(&mut files, 12);
    let folder = TempDir::new().unwrap();
    files.write(folder.path());
    let keys = public_keys(&[("fp0", 0)]).to_string();
    std::fs::write(folder.path().join("keys.json"), keys).unwrap();
    let keys = folder.path().join("keys.json");
    let keys = keys.to_str().unwrap();
    let region = "a/b/AWSLogs/111122223333/CloudTrail-Digest/eu-west-1";
    for (inside, source) in [
        ("", "."),
        ("", "a//b/"),
        ("", region),
        (region, "."),
        ("a/b/AWSLogs", "111122223333"),
    ] {
        let arguments = [source, "--public-keys", keys, "--format", "json"];
        let (report, findings) = outcome(&command(&folder.path().join(inside), &arguments));
        assert_eq!(findings, [""; 0], "{inside} {source}");
        assert_eq!(counts(&report, "digests"), [2, 0, 0], "{inside} {source}");
        assert_eq!(counts(&report, "logs"), [4, 0, 0], "{inside} {source}");
    }
}

#[test]
fn people_read_a_line_for_each_fault_and_counts() {
    let (trail, mut files) = chain();
    files.remove(&trail.log_key(9, 35));
    files.remove(&trail.digest_key(12));
    files.metadata(&trail.digest_key(9)).clear();
    files.put(&trail.log_key(9, 40), gzip(b"{}"));
    let folder = TempDir::new().unwrap();
    files.write(folder.path());
    let keys = public_keys(&[("fp0", 0)]).to_string();
    std::fs::write(folder.path().join("keys.json"), keys).unwrap();
    let output = command(folder.path(), &[".", "--public-keys", "keys.json"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace("/2026/11/05/111122223333_", "/~/");
    insta::assert_snapshot!(text, @r"
    INVALID  log file ./AWSLogs/111122223333/CloudTrail/eu-west-1/~/CloudTrail_eu-west-1_20261105T0935Z_main.json.gz: not found
    UNKNOWN  digest file ./AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/~/CloudTrail-Digest_eu-west-1_main_us-east-1_20261105T090000Z.json.gz: signature not checked: a copy needs the object's metadata beside it, see --help
    EXTRA    log file ./AWSLogs/111122223333/CloudTrail/eu-west-1/~/CloudTrail_eu-west-1_20261105T0940Z_main.json.gz: in no digest file

    any time to 2026-11-05T12:30:00Z: digest files cover 2026-11-05T08:00:00Z to 2026-11-05T11:00:00Z
    2/3 digest files valid, 1/3 digest files with their signature not checked
    5/6 log files valid, 1/6 log files INVALID
    1 log files in no digest file
    ");
}

#[test]
fn nothing_to_verify_is_a_fault_that_says_what_was_looked_for() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("keys.json"), r#"{"PublicKeyList": []}"#).unwrap();
    let arguments = [
        "empty",
        "--public-keys",
        "keys.json",
        "--since",
        "2026-11-01",
    ];
    let output = command(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("no digest file found: looked below empty"),
        "{said}"
    );
    assert!(
        said.contains("2026-11-01T00:00:00Z to 2026-11-05T12:30:00Z"),
        "{said}"
    );
    for (arguments, expected) in [
        (&["gone"][..], "gone: "),
        (
            &["empty", "--since", "2026-12-01"],
            "--since is after --until",
        ),
        (&["empty", "--since", "soon"], "`soon` is no time"),
        (&["empty", "--public-keys", "no.json"], "no.json: "),
        (&["sample:"], "is no folder"),
    ] {
        let output = command(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

/// Answers each request with a list of public keys, as CloudTrail does, until the process ends.
fn key_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.ends_with(b"}") {
                let length = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..length]);
                if length == 0 {
                    break;
                }
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let is_right = request.contains("listpublickeys") && request.contains("/eu-west-1/");
            let keys = if is_right { &[("fp0", 0)][..] } else { &[] };
            let body = public_keys(keys).to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1";
            let length = body.len();
            let answer =
                format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn a_bucket_is_verified_with_the_metadata_of_its_objects_and_keys_of_the_service() {
    let (trail, mut files) = chain();
    let moto = Moto::start();
    upload(&moto, &files);
    let keys = key_server();
    let run = |source: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
            .args(["verify-trail", source, "--format", "json", "--strict"])
            .args([
                "--until",
                "2026-11-05T12:30:00Z",
                "--since",
                "2026-11-05T08:30:00Z",
            ])
            .env("AWS_ENDPOINT_URL_S3", &moto.endpoint)
            .env("AWS_ENDPOINT_URL_CLOUDTRAIL", &keys)
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "verysecret")
            .env("AWS_REGION", "us-east-1")
            .env_remove("AWS_ENDPOINT_URL")
            .output()
            .unwrap();
        outcome(&output)
    };
    for source in ["s3://trails", "s3://trails/AWSLogs/111122223333/"] {
        let (report, findings) = run(source);
        assert_eq!(findings, [""; 0]);
        assert_eq!(counts(&report, "digests"), [4, 0, 0]);
        assert_eq!(counts(&report, "logs"), [8, 0, 0]);
    }
    // An object without metadata, a log file that was changed, and one that was added.
    files.metadata(&trail.digest_key(10)).clear();
    files.bytes(&trail.log_key(10, 5)).push(b'x');
    files.put(&trail.log_key(8, 20), gzip(b"{}"));
    upload(&moto, &files);
    let (_, findings) = run("s3://trails");
    assert_eq!(
        findings,
        [
            "trailing_bytes _eu-west-1_20261105T1005Z_main.json.gz".to_owned(),
            format!("signature_wrong {}", digest_name(10)),
            "extra _eu-west-1_20261105T0820Z_main.json.gz".to_owned(),
        ]
    );
}

/// A change of a bucket, with its name.
type Tampering = (&'static str, fn(&mut Trail, &mut Files));

/// Changes that the AWS CLI looks for.
const TAMPERINGS: [Tampering; 9] = [
    ("whole", |_, _| {}),
    ("a log file was changed", |trail, files| {
        *files.bytes(&trail.log_key(10, 5)) = gzip(b"{}");
    }),
    ("a log file has more bytes", |trail, files| {
        files.bytes(&trail.log_key(10, 5)).push(b'x');
    }),
    ("a log file is gone", |trail, files| {
        files.remove(&trail.log_key(9, 35))
    }),
    ("a log file is no gzip", |trail, files| {
        *files.bytes(&trail.log_key(9, 35)) = b"plain".to_vec();
    }),
    ("a digest was changed", |trail, files| {
        files.edit(&trail.digest_key(10), |digest| {
            digest["logFiles"] = json!([])
        });
    }),
    ("a digest is gone", |trail, files| {
        files.remove(&trail.digest_key(10))
    }),
    ("the newest digest is gone", |trail, files| {
        files.remove(&trail.digest_key(12))
    }),
    ("a digest has another's signature", |trail, files| {
        let other = files.metadata(&trail.digest_key(9))["signature"].clone();
        files
            .metadata(&trail.digest_key(11))
            .insert("signature".to_owned(), other);
    }),
];

#[test]
fn the_aws_cli_comes_to_the_same_counts() {
    let aws = environment("awscli-venv", &["awscli==1.46.3"]).join("bin/aws");
    for (name, tamper) in TAMPERINGS {
        let (mut trail, mut files) = chain();
        tamper(&mut trail, &mut files);
        let moto = Moto::start();
        upload(&moto, &files);
        let keys = key_server();
        let run = |program: &Path, arguments: &[&str]| {
            Command::new(program)
                .args(arguments)
                .env("AWS_ENDPOINT_URL_S3", &moto.endpoint)
                .env("AWS_ENDPOINT_URL_CLOUDTRAIL", &keys)
                .env("AWS_ACCESS_KEY_ID", "AKIATEST")
                .env("AWS_SECRET_ACCESS_KEY", "verysecret")
                .env("AWS_REGION", "eu-west-1")
                .env("AWS_DEFAULT_REGION", "eu-west-1")
                .env_remove("AWS_ENDPOINT_URL")
                .output()
                .unwrap()
        };
        let (since, until) = ("2026-11-05T08:00:00Z", "2026-11-05T12:30:00Z");
        let theirs = run(
            &aws,
            &[
                "cloudtrail",
                "validate-logs",
                "--region",
                "eu-west-1",
                "--trail-arn",
                "arn:aws:cloudtrail:us-east-1:111122223333:trail/main",
                "--s3-bucket",
                BUCKET,
                "--start-time",
                since,
                "--end-time",
                until,
            ],
        );
        let said = String::from_utf8_lossy(&theirs.stdout);
        let ours = run(
            Path::new(env!("CARGO_BIN_EXE_auroratrail")),
            &[
                "verify-trail",
                "s3://trails",
                "--format",
                "json",
                "--since",
                since,
                "--until",
                until,
            ],
        );
        let (report, findings) = outcome(&ours);
        for (kind, word) in [("digests", "digest"), ("logs", "log")] {
            let line = said
                .lines()
                .find(|it| it.contains(&format!(" {word} files valid")));
            let (valid, all) = line
                .and_then(|line| line.split_once(' ')?.0.split_once('/'))
                .unwrap_or_else(|| {
                    panic!("{name}: {said} {}", String::from_utf8_lossy(&theirs.stderr))
                });
            let (valid, all): (u64, u64) = (valid.parse().unwrap(), all.parse().unwrap());
            assert_eq!(
                counts(&report, kind),
                [valid, all - valid, 0],
                "{name}, {kind}: {said}\n{findings:?}"
            );
        }
    }
}

/// Puts all files to the bucket.
fn upload(moto: &Moto, files: &Files) {
    moto.put(&format!("/{BUCKET}"), "");
    let store = AmazonS3Builder::new()
        .with_endpoint(&moto.endpoint)
        .with_allow_http(true)
        .with_access_key_id("AKIATEST")
        .with_secret_access_key("verysecret")
        .with_bucket_name(BUCKET)
        .build()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for (key, (bytes, metadata)) in &files.0 {
            let mut attributes = Attributes::new();
            for (name, value) in metadata {
                let name = Attribute::Metadata(name.clone().into());
                attributes.insert(name, value.clone().into());
            }
            let path = object_store::path::Path::parse(key).unwrap();
            let options = PutOptions::from(attributes);
            let payload = bytes.clone().into();
            object_store::ObjectStore::put_opts(&store, &path, payload, options)
                .await
                .unwrap();
        }
    });
}

#[test]
fn the_policy_for_verifying_has_the_keys_of_the_service() {
    let policy = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
            .args(["iam", "s3://trails/AWSLogs/"])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(policy(&["--verify-trail"]).contains("cloudtrail:ListPublicKeys"));
    assert!(!policy(&[]).contains("cloudtrail:"));
}
