//! Each form in which CloudTrail events reach people, in every shape it may have: compact, pretty,
//! several in a file, compressed; and forms that must never count as an event.

use auroratrail::envelope::{MAX_NESTED_BYTES, MAX_WRAPPERS, RecordKind};
use serde_json::Value;

use crate::feed::{Fed, feed, feed_stream, value};
use crate::made::{
    aggregated, base64, bzip2, gzip, hadoop_snappy, insight, kpl, lz4, lzma, pretty, quoted,
    record, snappy, subscription, tar, utf16le, xz, zip, zlib, zstd,
};

/// Writes `document` in each shape: the name of the shape, the bytes, and the number of copies.
fn shapes(document: &str) -> Vec<(&'static str, Vec<u8>, usize)> {
    let nice = pretty(document);
    let twice = format!("{document}{document}");
    let (head, tail) = document.as_bytes().split_at(document.len() / 3);
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        ("compact", bytes(document), 1),
        ("ends with a line", bytes(&format!("{document}\n")), 1),
        ("blank around", bytes(&format!("\n \t{document}\r\n \n")), 1),
        ("pretty", bytes(&nice), 1),
        ("pretty, CRLF", bytes(&nice.replace('\n', "\r\n")), 1),
        ("back to back", bytes(&twice), 2),
        ("lines", bytes(&format!("{document}\n{document}\n")), 2),
        (
            "lines, CRLF",
            bytes(&format!("{document}\r\n{document}\r\n{document}")),
            3,
        ),
        (
            "pretty, back to back",
            bytes(&format!("{nice}{nice}\n{nice}")),
            3,
        ),
        ("array", bytes(&format!("[{document},{document}]")), 2),
        (
            "pretty array",
            bytes(&pretty(&format!("[{document},{document}]"))),
            2,
        ),
        ("BOM", bytes(&format!("\u{feff}{document}")), 1),
        (
            "BOM, lines",
            bytes(&format!("\u{feff}{document}\n{document}")),
            2,
        ),
        (
            "joined files with BOM",
            bytes(&format!(
                "\u{feff}{document}\u{feff}{nice}\n\u{feff}{document}"
            )),
            3,
        ),
        (
            "joined UTF-16LE",
            utf16le(&format!("{document}\r\n\u{feff}{document}")),
            2,
        ),
        (
            "text sequence",
            bytes(&format!("\x1e{document}\n\x1e{nice}\n")),
            2,
        ),
        (
            "other white space",
            bytes(&format!("{document}\x0c\u{a0}{document}\u{2028}")),
            2,
        ),
        (
            "newlines spelled out",
            bytes(&format!("{document}\\n{document}\\r\\n{document}\\n")),
            3,
        ),
        ("UTF-16LE", utf16le(document), 1),
        (
            "UTF-16LE, CRLF",
            utf16le(&format!("{document}\r\n{document}\r\n")),
            2,
        ),
        ("gzip", gzip(document), 1),
        ("gzip, pretty", gzip(&nice), 1),
        (
            "gzip members",
            [gzip(document), gzip(document), gzip(document)].concat(),
            3,
        ),
        (
            "gzip members, empty one",
            [gzip(document), gzip(""), gzip(document)].concat(),
            2,
        ),
        (
            "gzip members, lines",
            [&gzip(document)[..], b"\n", &gzip(document), b"\r\n"].concat(),
            2,
        ),
        (
            "gzip members, BOM between",
            [&gzip(document)[..], b"\xef\xbb\xbf", &gzip(document)].concat(),
            2,
        ),
        (
            "gzip members that split it",
            [gzip(head), gzip(tail)].concat(),
            1,
        ),
        ("gzip in gzip", gzip(gzip(document)), 1),
        ("gzip of BOM", gzip(format!("\u{feff}{document}")), 1),
        ("gzip of UTF-16LE", gzip(utf16le(document)), 1),
        ("zstd", zstd(document), 1),
        ("zstd frames", [zstd(document), zstd(document)].concat(), 2),
        ("bzip2", bzip2(document), 1),
        (
            "bzip2 streams",
            [bzip2(document), bzip2(document)].concat(),
            2,
        ),
        ("zlib", zlib(document), 1),
        (
            "zlib lines",
            [&zlib(document)[..], b"\n", &zlib(document), b"\n"].concat(),
            2,
        ),
        ("xz", xz(document), 1),
        (
            "xz streams",
            [&xz(document)[..], &xz(document), b"\n", &xz(document)].concat(),
            3,
        ),
        ("lzma", lzma(document), 1),
        ("lz4", lz4(document), 1),
        ("lz4 frames", [lz4(document), lz4(document)].concat(), 2),
        ("snappy", snappy(document), 1),
        (
            "snappy streams",
            [snappy(document), snappy(document)].concat(),
            2,
        ),
        ("Hadoop's snappy", hadoop_snappy(document), 1),
        (
            "zip",
            zip(&[
                ("a.json", bytes(document)),
                ("b/c.gz", gzip(document)),
                ("b/empty", Vec::new()),
            ]),
            2,
        ),
        (
            "tar",
            tar(&[("a.json", bytes(document)), ("b/c.json.xz", xz(document))]),
            2,
        ),
        (
            "compressed tar",
            gzip(tar(&[("a.json", bytes(document))])),
            1,
        ),
        ("zstd of gzip", zstd(gzip(document)), 1),
        ("gzip of bzip2", gzip(bzip2(document)), 1),
    ]
}

/// Checks that every shape of `document` gives `records`, whole or streamed.
#[track_caller]
fn reads(document: &str, records: &[String]) {
    let records: Vec<Value> = records.iter().map(|text| value(text)).collect();
    let mut wrong = Vec::new();
    for (shape, bytes, copies) in shapes(document) {
        let expected: Vec<Value> = (0..copies).flat_map(|_| records.clone()).collect();
        let fed = feed(bytes.clone());
        if fed.values() != expected || !sound(&fed) {
            wrong.push(format!("{shape}: not {} but {fed:?}", expected.len()));
        }
        let streamed = feed_stream(&bytes, &[1, 7, 4096]);
        if fed != streamed {
            wrong.push(format!("{shape}, streamed: {streamed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Checks that no shape of `document` gives a record or a reject, and that all count it.
#[track_caller]
fn is_not_cloudtrail(document: &str) {
    let wrong: Vec<String> = shapes(document)
        .into_iter()
        .filter_map(|(shape, bytes, copies)| {
            let fed = feed(bytes);
            let right = fed.records.is_empty() && fed.others() >= copies as u64 && sound(&fed);
            (!right).then(|| format!("{shape}: {fed:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Checks that there is something, but no record and no reject.
#[track_caller]
fn is_other(fed: &Fed) {
    assert!(
        fed.records.is_empty() && fed.others() > 0 && sound(fed),
        "{fed:?}"
    );
}

/// Returns whether nothing was damaged.
fn sound(fed: &Fed) -> bool {
    fed.rejects.is_empty() && !fed.outcome.damaged && fed.outcome.salvaged == 0
}

fn records(count: usize) -> Vec<String> {
    (0..count).map(record).collect()
}

fn log_file(records: &[String]) -> String {
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

fn event_bridge(kind: &str, source: &str, detail: &str) -> String {
    format!(
        r#"{{"version":"0","id":"6f87d04b-9f74-4f04-a780-7acf4b0a9b38","detail-type":"{kind}","source":"{source}","account":"123456789012","time":"2026-03-04T05:06:07Z","region":"us-east-1","resources":[],"detail":{detail}}}"#
    )
}

fn sns(message: &str) -> String {
    format!(
        r#"{{"Type":"Notification","MessageId":"63a3f6b6-d533-4a47-aef9-fcf5cf758c76","TopicArn":"arn:aws:sns:us-west-2:123456789012:MyTopic","Subject":"Amazon S3 Notification","Message":{},"Timestamp":"2026-03-29T05:12:16.901Z","SignatureVersion":"1","Signature":"EXAMPLEnTrFPa3==","SigningCertURL":"https://sns.us-west-2.amazonaws.com/x.pem","UnsubscribeURL":"https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe"}}"#,
        quoted(message)
    )
}

fn sqs(body: &str) -> String {
    format!(
        r#"{{"Records":[{{"messageId":"059f36b4-87a3-44ab-83d2-661975830a7d","receiptHandle":"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a","body":{},"attributes":{{"ApproximateReceiveCount":"1","SentTimestamp":"1545082649183","SenderId":"AIDAIENQZJOLO23YVJ4VO","ApproximateFirstReceiveTimestamp":"1545082649185"}},"messageAttributes":{{}},"md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:us-east-2:123456789012:my-queue","awsRegion":"us-east-2"}}]}}"#,
        quoted(body)
    )
}

fn receive_message(bodies: &[String]) -> String {
    let messages: Vec<String> = bodies
        .iter()
        .map(|body| {
            format!(
                r#"{{"MessageId":"m","ReceiptHandle":"h","MD5OfBody":"d","Body":{}}}"#,
                quoted(body)
            )
        })
        .collect();
    format!(r#"{{"Messages":[{}]}}"#, messages.join(","))
}

fn firehose(data: &[Vec<u8>]) -> String {
    let records: Vec<String> = data
        .iter()
        .map(|data| format!(r#"{{"data":"{}"}}"#, base64(data)))
        .collect();
    format!(
        r#"{{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1578090901599,"records":[{}]}}"#,
        records.join(",")
    )
}

fn get_records(data: &[Vec<u8>]) -> String {
    let records: Vec<String> = data
        .iter()
        .enumerate()
        .map(|(index, data)| {
            format!(
                r#"{{"SequenceNumber":"4954498554{index}","ApproximateArrivalTimestamp":1772600000.5,"Data":"{}","PartitionKey":"p"}}"#,
                base64(data)
            )
        })
        .collect();
    format!(
        r#"{{"Records":[{}],"NextShardIterator":"AAAA","MillisBehindLatest":0}}"#,
        records.join(",")
    )
}

fn lambda_kinesis(data: &[Vec<u8>]) -> String {
    let records: Vec<String> = data
        .iter()
        .map(|data| {
            format!(
                r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"1","sequenceNumber":"4959033827149025660855969253836157109592157598913613","data":"{}","approximateArrivalTimestamp":1545084650.987}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000006:4959","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role","awsRegion":"us-east-2","eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"}}"#,
                base64(data)
            )
        })
        .collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

const S3_NOTICE: &str = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-west-2","eventTime":"2026-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AWS:AIDAJDPLRKLG7UEXAMPLE"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},"responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURI"},"s3":{"s3SchemaVersion":"1.0","configurationId":"c","bucket":{"name":"b","ownerIdentity":{"principalId":"A3"},"arn":"arn:aws:s3:::b"},"object":{"key":"AWSLogs/1/CloudTrail/us-east-1/2026/01/01/a+b.json.gz","size":1024,"eTag":"d4","sequencer":"0055"}}}]}"#;

const TRAIL_NOTICE: &str = r#"{"s3Bucket":"b","s3ObjectKey":["AWSLogs/123456789012/CloudTrail/us-east-1/2026/01/01/a.json.gz","AWSLogs/123456789012/CloudTrail/us-east-1/2026/01/01/b.json.gz"]}"#;

// 1
#[test]
fn a_trails_log_file_gives_its_records() {
    let records = records(4);
    reads(&log_file(&records), &records);
}

#[test]
fn a_log_file_without_records_is_fine() {
    for text in [
        "",
        "\n \r\n",
        "[]",
        "{\"Records\":[]}",
        "{\n  \"Records\": [\n  ]\n}\n",
    ] {
        for bytes in [text.as_bytes().to_vec(), gzip(text)] {
            let fed = feed(bytes);
            assert!(fed.records.is_empty() && sound(&fed), "{fed:?}");
            assert_eq!(fed.outcome.empty, text.trim().is_empty(), "{fed:?}");
        }
    }
}

// 2
#[test]
fn an_insights_file_gives_insights() {
    let both = [insight(0), insight(1)];
    reads(&log_file(&both), &both);
    let fed = feed(log_file(&both));
    assert_eq!((fed.outcome.insights, fed.outcome.events), (2, 0));
    assert_eq!(fed.kinds, [RecordKind::Insight; 2]);
}

// 3
#[test]
fn network_activity_events_are_events() {
    let events = [record(0).replace("AwsApiCall", "AwsVpceEvents").replace(
        r#""Management""#,
        r#""NetworkActivity","vpcEndpointId":"vpce-1""#,
    )];
    reads(&log_file(&events), &events);
    assert_eq!(feed(log_file(&events)).outcome.events, 1);
}

// 4
#[test]
fn aggregated_events_are_rows_of_their_own_kind() {
    let both = [aggregated(0), aggregated(1)];
    reads(&log_file(&both), &both);
    let fed = feed(log_file(&both));
    assert_eq!((fed.outcome.aggregated, fed.outcome.events), (2, 0));
    let mixed = [record(0), insight(1), aggregated(2), record(3)];
    reads(&log_file(&mixed), &mixed);
}

// 5
#[test]
fn a_digest_file_is_no_event() {
    is_not_cloudtrail(
        r#"{"awsAccountId":"123456789012","digestStartTime":"2026-08-17T14:01:31Z","digestEndTime":"2026-08-17T15:01:31Z","digestS3Bucket":"b","digestS3Object":"AWSLogs/123456789012/CloudTrail-Digest/us-east-1/2026/08/17/d.json.gz","digestPublicKeyFingerprint":"31e8b5433410dfb61a9dc45cc65b22ff","digestSignatureAlgorithm":"SHA256withRSA","newestEventTime":"2026-08-17T14:52:27Z","oldestEventTime":"2026-08-17T14:42:27Z","previousDigestS3Bucket":"b","previousDigestS3Object":"o","previousDigestHashValue":"97fb791cf91ffc440d274f8190dbdd9aa09c34432aba82739df18b6d3c13df2d","previousDigestHashAlgorithm":"SHA-256","previousDigestSignature":"50887ccffad4c002b97caa37cc9dc626e3c680207d41d27fa5835458e066e0d3652fc4dfc30937e4d5f4cc7f796e7a258fb50a43ac427f2237f6e505d4efaf373d156e15e3b68dea9f58111d395b62628d6bd367a9024d2183b5c5f6e19466d3a996b9a8e1c5e8ecf2d5e9b34f7d6e09","logFiles":[{"s3Bucket":"b","s3Object":"AWSLogs/123456789012/CloudTrail/us-east-1/2026/08/17/a.json.gz","hashValue":"9bb6196fc6b84d6f075a56548feca262bd99ba3c2de41b618e5b6e22c1fc71f6","hashAlgorithm":"SHA-256","newestEventTime":"2026-08-17T14:52:27Z","oldestEventTime":"2026-08-17T14:42:27Z"}]}"#,
    );
}

// 6
#[test]
fn looked_up_events_are_in_their_strings() {
    let records = records(3);
    let events = |time: &str| {
        let events: Vec<String> = records
            .iter()
            .map(|record| {
                format!(
                    r#"{{"EventId":"e","EventName":"ModifyDBCluster","ReadOnly":"false","AccessKeyId":"ASIAEXAMPLE","EventTime":{time},"EventSource":"rds.amazonaws.com","Username":"maria","Resources":[{{"ResourceType":"AWS::RDS::DBCluster","ResourceName":"orders"}}],"CloudTrailEvent":{}}}"#,
                    quoted(record)
                )
            })
            .collect();
        events.join(",")
    };
    let by_number = events("1772600000.0");
    reads(
        &format!(r#"{{"Events":[{by_number}],"NextToken":"t"}}"#),
        &records,
    );
    let by_text = events(r#""2026-03-04T05:06:00+01:00""#);
    reads(&format!(r#"{{"Events":[{by_text}]}}"#), &records);
    let one = events("1").split_once("},{").unwrap().0.to_owned() + "}";
    reads(&one, &records[..1]);
    let broken = by_number.replacen(r#""CloudTrailEvent":"{"#, r#""CloudTrailEvent":"{{"#, 1);
    let fed = feed(format!(r#"{{"Events":[{broken}]}}"#));
    assert!(fed.records.len() >= 2 && !fed.rejects.is_empty(), "{fed:?}");
}

// 7
#[test]
fn the_consoles_csv_gives_what_it_has() {
    let csv = "User name,AWS access key,Event time,Event source,Event name,AWS region,Source IP address,User agent,Error code,Resources,Request ID,Event ID,Read-only,Event type,Recipient Account Id\n\
        maria,ASIAEXAMPLE,2026-03-04T05:06:07Z,rds.amazonaws.com,ModifyDBCluster,us-east-1,192.0.2.7,\"Mozilla/5.0 (X11, Linux) \"\"quoted\"\", like\nGecko\",AccessDenied,\"[{\"\"resourceType\"\":\"\"AWS::RDS::DBCluster\"\",\"\"resourceName\"\":\"\"orders\"\"}]\",r-1,e-1,false,AwsApiCall,123456789012\n\
        root,,2026-03-04T05:06:08Z,signin.amazonaws.com,ConsoleLogin,us-east-1,192.0.2.8,,,,r-2,e-2,true,AwsConsoleSignIn,123456789012\n";
    let shapes = [
        csv.as_bytes().to_vec(),
        csv.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{csv}").into_bytes(),
        csv.trim_end().as_bytes().to_vec(),
        gzip(csv),
        utf16le(csv),
    ];
    for bytes in shapes {
        let fed = feed(bytes.clone());
        assert!(sound(&fed), "{fed:?}");
        let values = fed.values();
        assert_eq!(values.len(), 2, "{fed:?}");
        assert_eq!(values[0]["eventName"], "ModifyDBCluster");
        assert_eq!(values[0]["eventSource"], "rds.amazonaws.com");
        assert_eq!(values[0]["eventTime"], "2026-03-04T05:06:07Z");
        assert_eq!(values[0]["eventID"], "e-1");
        assert_eq!(values[0]["errorCode"], "AccessDenied");
        assert_eq!(values[1]["eventName"], "ConsoleLogin");
        assert_eq!(values[1]["sourceIPAddress"], "192.0.2.8");
        assert_eq!(values[1]["errorCode"], Value::Null);
        assert_eq!(feed_stream(&bytes, &[1, 3]), fed);
    }
    let fewer = "User name,Event time,Event source,Event name,AWS region\nroot,2026-12-19T19:06:07Z,ce.amazonaws.com,GetCostAndUsage,us-east-1\n";
    assert_eq!(feed(fewer).outcome.events, 1);
}

// 8
#[test]
fn a_log_subscriptions_messages_are_records() {
    let records = records(3);
    let (text, _) = subscription(&records);
    reads(&text, &records);
    let newer = text
        .replacen('{', r#"{"policyLevel":"ACCOUNT_LEVEL_POLICY","#, 1)
        .replace(
            r#","message":"#,
            r#","extractedFields":{"@aws.account":"123456789012","@aws.region":"us-east-1","@source.log":"g"},"message":"#,
        );
    reads(&newer, &records);
    let mixed = [
        record(0),
        "START RequestId: 5".to_owned(),
        String::new(),
        record(1),
    ];
    let fed = feed(subscription(&mixed).0);
    assert_eq!(fed.outcome.events, 2, "{fed:?}");
    assert!(fed.others() >= 1);
    assert!(sound(&fed), "{fed:?}");
}

#[test]
fn a_control_message_is_no_event() {
    let text = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1510254469274,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;
    is_not_cloudtrail(text);
    is_not_cloudtrail(&firehose(&[gzip(text)]));
    is_not_cloudtrail(&lambda_kinesis(&[gzip(text)]));
}

// 9
#[test]
fn a_subscriptions_lambda_event_is_taken_apart() {
    let records = records(2);
    let data = base64(gzip(subscription(&records).0));
    reads(&format!(r#"{{"awslogs":{{"data":"{data}"}}}}"#), &records);
}

// 10
#[test]
fn a_firehose_request_is_taken_apart() {
    let records = records(4);
    let subscription = subscription(&records[..2]).0;
    let data = [
        gzip(subscription),
        records[2].clone().into_bytes(),
        gzip(format!("{}\n", records[3])),
    ];
    reads(&firehose(&data), &records);
    let transform = firehose(&data).replace(
        r#"{"data""#,
        r#"{"recordId":"4958","approximateArrivalTimestamp":1772600000000,"data""#,
    );
    let transform = transform.replace(
        r#""requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1578090901599"#,
        r#""invocationId":"i","deliveryStreamArn":"arn:aws:firehose:us-east-1:1:deliverystream/d","region":"us-east-1""#,
    );
    reads(&transform, &records);
}

// 11
#[test]
fn what_firehose_put_into_one_object_is_told_apart() {
    let records = records(4);
    let (one, two) = (subscription(&records[..2]).0, subscription(&records[2..]).0);
    let shapes = [
        [gzip(&one), gzip(&two)].concat(),
        gzip([gzip(&one), gzip(&two)].concat()),
        gzip(format!("{one}{two}")),
        format!("{one}{two}").into_bytes(),
        [gzip(format!("{one}{}", records[2])), gzip(&records[3])].concat(),
        records.concat().into_bytes(),
    ];
    for bytes in shapes {
        let fed = feed(bytes.clone());
        assert_eq!(fed.records, records);
        assert!(sound(&fed), "{fed:?}");
        assert_eq!(feed_stream(&bytes, &[5]), fed);
    }
}

// 12
#[test]
fn kinesis_get_records_output_is_taken_apart() {
    let records = records(4);
    let data = [
        gzip(subscription(&records[..2]).0),
        records[2].clone().into_bytes(),
        event_bridge("AWS API Call via CloudTrail", "aws.rds", &records[3]).into_bytes(),
    ];
    reads(&get_records(&data), &records);
    let by_text = get_records(&data).replace("1772600000.5", r#""2026-03-04T05:06:00.5+00:00""#);
    reads(&by_text, &records);
}

// 13
#[test]
fn a_kinesis_lambda_event_is_taken_apart() {
    let records = records(3);
    let data = [
        gzip(subscription(&records[..2]).0),
        records[2].clone().into_bytes(),
    ];
    reads(&lambda_kinesis(&data), &records);
}

// 14
#[test]
fn a_kpl_aggregate_is_taken_apart_if_its_checksum_holds() {
    let records = records(4);
    let users = [
        gzip(subscription(&records[..2]).0),
        records[2].clone().into_bytes(),
        records[3].clone().into_bytes(),
    ];
    let whole = kpl(&users);
    let fed = feed(whole.clone());
    assert_eq!(fed.records, records);
    assert!(sound(&fed), "{fed:?}");
    assert_eq!(feed(gzip(&whole)).records, records);
    reads(&get_records(std::slice::from_ref(&whole)), &records);
    reads(&lambda_kinesis(std::slice::from_ref(&whole)), &records);

    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 40);
    for bad in [wrong, cut, whole[..10].to_vec(), whole[..4].to_vec()] {
        for bytes in [bad.clone(), get_records(&[bad]).into_bytes()] {
            let fed = feed(bytes);
            assert_eq!(fed.outcome.events, 0, "{fed:?}");
            // In Kinesis it is an ordinary record then, by the format's own rules.
            assert!(fed.rejects.len() as u64 + fed.others() > 0, "{fed:?}");
        }
    }
    let mut nonsense = vec![0xf3, 0x89, 0x9a, 0xc2, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let checksum = <md5::Md5 as md5::Digest>::digest(&nonsense[4..]);
    nonsense.extend(checksum);
    assert!(!feed(nonsense).rejects.is_empty());
}

// 15
#[test]
fn filtered_log_events_are_records() {
    let records = records(3);
    let events: Vec<String> = records
        .iter()
        .map(|record| {
            format!(
                r#"{{"logStreamName":"123456789012_CloudTrail_us-east-1","timestamp":1772600000123,"message":{},"ingestionTime":1772600001000,"eventId":"3744"}}"#,
                quoted(record)
            )
        })
        .collect();
    let events = events.join(",");
    reads(
        &format!(r#"{{"events":[{events}],"searchedLogStreams":[],"nextToken":"t"}}"#),
        &records,
    );
    reads(&format!(r#"{{"events":[{events}]}}"#), &records);
    let fed = feed(format!(
        r#"{{"searchedLogStreams":[],"events":[{events}]}}"#
    ));
    let times = [Some(1_772_600_000_123_000), Some(1_772_600_001_000_000)];
    assert!(fed.delivered.iter().all(|time| times.contains(time)));
    let none = feed(r#"{"events":[],"searchedLogStreams":[],"nextToken":"t"}"#);
    assert!(sound(&none), "{none:?}");
}

// 16
#[test]
fn fetched_log_events_are_records() {
    let records = records(2);
    let events: Vec<String> = records
        .iter()
        .map(|record| {
            format!(
                r#"{{"timestamp":1772600000123,"message":{},"ingestionTime":1772600001000}}"#,
                quoted(record)
            )
        })
        .collect();
    reads(
        &format!(
            r#"{{"events":[{}],"nextForwardToken":"f/1/s","nextBackwardToken":"b/1/s"}}"#,
            events.join(",")
        ),
        &records,
    );
}

/// Checks that `text`, which has lines, gives `records` with either end of line, compressed or not.
#[track_caller]
fn reads_lines(text: &str, records: &[String]) {
    let records: Vec<Value> = records.iter().map(|text| value(text)).collect();
    let shapes = [
        text.as_bytes().to_vec(),
        text.trim_end().as_bytes().to_vec(),
        text.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{text}").into_bytes(),
        gzip(text),
        zstd(text),
        utf16le(text),
    ];
    for (index, bytes) in shapes.into_iter().enumerate() {
        let fed = feed(bytes.clone());
        assert_eq!(fed.values(), records, "{index}: {:?}", fed.rejects);
        assert!(sound(&fed), "{fed:?}");
        assert_eq!(feed_stream(&bytes, &[2, 11]), fed, "{index}");
    }
}

// 17
#[test]
fn lines_of_logs_tail_are_records() {
    let records = records(6);
    let lines = |head: &str, records: &[String]| -> String {
        records
            .iter()
            .map(|record| format!("{head}{record}\n"))
            .collect()
    };
    let detailed = "2026-03-04T05:06:07.123000+00:00 123456789012_CloudTrail_us-east-1 ";
    reads_lines(&lines(detailed, &records), &records);
    reads_lines(&lines("2026-03-04T05:06:07 ", &records), &records);
    let nice: String = records
        .iter()
        .map(|record| {
            format!(
                "2026-03-04T05:06:07.123000+00:00 123456789012_CloudTrail_us-east-1 \n{}\n",
                pretty(record)
            )
        })
        .collect();
    reads_lines(&nice, &records);
    let mixed = format!(
        "{detailed}START RequestId: 1\n{}",
        lines(detailed, &records)
    );
    let fed = feed(mixed);
    assert_eq!(fed.records, records);
    assert!(fed.others() + fed.rejects.len() as u64 >= 1, "{fed:?}");
}

#[test]
fn text_around_the_json_of_a_line_counts_for_nothing() {
    let records = records(4);
    for (head, tail) in [
        ("2026-03-04T05:06:07Z 2026/03/04/[$LATEST]0f1e2d3c ", ""),
        ("2026-03-04T05:06:07Z [INFO] ", ""),
        (
            "2026-03-04 05:06:07,123 [main] INFO Trail - ",
            " [took 3 ms]",
        ),
        ("2026-03-04 05:06:07 app[4711]: ", " (end)"),
        ("2026-03-04T05:06:07Z {worker-1} [7] ", ""),
        ("2026-03-04T05:06:07Z {\"worker\":1} ", ""),
        ("[INFO] ", ""),
        ("[2026-03-04 05:06:07] [main/worker] ", ""),
        ("{worker-1} [a [b]] ", ""),
        ("Mar  4 05:06:07 host trail[4711]: ", ""),
        ("<134>1 2026-03-04T05:06:07Z host trail - - - ", ""),
        ("1772600767 ", ""),
        ("logs/a.json:12:", ""),
        ("time=\"2026-03-04\" level=info event=", " took=3"),
        ("\"quoted\" ", ""),
        ("\u{1b}[32m2026-03-04T05:06:07\u{1b}[0m ", ""),
        ("var x = ", ";"),
    ] {
        let line = |record: &String| format!("{head}{record}{tail}\n");
        reads_lines(&records.iter().map(line).collect::<String>(), &records);
        let arrays: String = records
            .iter()
            .map(|record| line(&format!("[{record}]")))
            .collect();
        reads_lines(&arrays, &records);
        let subscription = subscription(&[line(&records[0]), line(&records[1])]).0;
        let fed = feed(subscription);
        assert_eq!(fed.records, records[..2], "{head}");
        assert!(sound(&fed) && fed.others() == 0, "{head}: {fed:?}");
    }
}

#[test]
fn a_line_without_records_counts_once() {
    for line in [
        "2026-03-04T05:06:07Z [INFO] hello",
        "2026-03-04T05:06:07Z app[4711]: hello {world}",
        "2026-03-04T05:06:07Z [7] [8] hello",
        "2026-03-04T05:06:07Z [7] {\"level\":\"info\"} [8] done",
        "[INFO] {\"level\":\"info\"} done",
        "INFO [7]: {\"level\":\"info\"}",
    ] {
        let fed = feed(format!("{line}\n{}\n{line}", record(0)));
        assert_eq!(fed.outcome.events, 1, "{line}: {fed:?}");
        assert_eq!(fed.others(), 2, "{line}: {fed:?}");
        assert!(sound(&fed), "{line}: {fed:?}");
    }
}

#[test]
fn a_piece_of_a_record_before_another_is_not_the_text_of_a_log() {
    let whole = record(0);
    let end = &whole[whole.len() - 40..];
    for piece in [
        end.to_owned(),
        format!("{end} "),
        format!("x, {end} "),
        "alse} ".to_owned(),
        "{\"eventVersion\":\"1.11\", ".to_owned(),
        "{\"Records\":[x, ".to_owned(),
        "] ".to_owned(),
        "x\u{1}: ".to_owned(),
    ] {
        let fed = feed(format!("{piece}{whole}\n"));
        assert!(!fed.rejects.is_empty(), "{piece}: {fed:?}");
        assert_eq!(fed.outcome.events, 0, "{piece}: {fed:?}");
    }
    // An event in the parameters of a damaged one stays there.
    let nested =
        format!("2026-03-04T05:06:07Z [INFO] {{\"eventVersion\":x,\"a\":{{\"b\":{whole}}}}}\n");
    let fed = feed(nested);
    assert_eq!(fed.outcome.events, 0, "{fed:?}");
    assert!(!fed.rejects.is_empty(), "{fed:?}");
}

#[test]
fn documents_encoded_twice_are_read() {
    let records = records(3);
    let lines: String = records
        .iter()
        .map(|record| quoted(&quoted(record)) + "\n")
        .collect();
    reads_lines(&lines, &records);
}

// 18
#[test]
fn logs_insights_results_have_records_in_message() {
    let records = records(3);
    let rows: Vec<String> = records
        .iter()
        .map(|record| {
            format!(
                r#"[{{"field":"@timestamp","value":"2026-03-04 05:06:07.000"}},{{"field":"@message","value":{}}},{{"field":"@ptr","value":"CmEKJg"}}]"#,
                quoted(record)
            )
        })
        .collect();
    let tail = r#""statistics":{"recordsMatched":3.0,"recordsScanned":9.0,"bytesScanned":1.0},"status":"Complete""#;
    reads(
        &format!(r#"{{"results":[{}],{tail}}}"#, rows.join(",")),
        &records,
    );
    let none = r#"[{"field":"eventName","value":"ModifyDBCluster"},{"field":"eventSource","value":"rds.amazonaws.com"},{"field":"eventID","value":"e"}]"#;
    is_not_cloudtrail(&format!(r#"{{"results":[{none},{none}],{tail}}}"#));
}

// 19
#[test]
fn lines_of_a_log_export_are_records() {
    let records = records(6);
    let text: String = records
        .iter()
        .map(|record| format!("2026-03-04T05:06:07.123Z {record}\n"))
        .collect();
    reads_lines(&text, &records);
    let members: Vec<Vec<u8>> = text.split_inclusive('\n').map(gzip).collect();
    assert_eq!(feed(members.concat()).records, records);
    is_other(&feed("Permission Check Successful"));
}

// 20
#[test]
fn event_bridge_events_of_cloudtrail_are_records() {
    for kind in [
        "AWS API Call via CloudTrail",
        "AWS Console Signin via CloudTrail",
        "AWS Console Sign In via CloudTrail",
        "AWS Console Action via CloudTrail",
        "AWS Service Event via CloudTrail",
        "AWS Network Activity Event via CloudTrail",
    ] {
        reads(&event_bridge(kind, "aws.rds", &record(1)), &[record(1)]);
    }
    let insight = insight(1);
    let event = event_bridge("AWS Insight via CloudTrail", "aws.cloudtrail", &insight);
    reads(&event, std::slice::from_ref(&insight));
    assert_eq!(feed(event).outcome.insights, 1);
}

#[test]
fn event_bridge_events_of_other_kinds_are_not() {
    is_not_cloudtrail(&event_bridge(
        "RDS DB Cluster Event",
        "aws.rds",
        r#"{"EventCategories":["notification"],"SourceType":"CLUSTER","SourceArn":"arn:aws:rds:us-east-1:123456789012:cluster:a","Date":"2026-10-06T12:26:13.882Z","SourceIdentifier":"a","Message":"Database cluster has been patched","EventID":"RDS-EVENT-0173"}"#,
    ));
    is_not_cloudtrail(&event_bridge(
        "EC2 Instance State-change Notification",
        "aws.ec2",
        r#"{"instance-id":"i-0","state":"running"}"#,
    ));
}

// 21, 22
#[test]
fn a_trails_notices_are_no_events() {
    is_not_cloudtrail(&sns(TRAIL_NOTICE));
    is_not_cloudtrail(TRAIL_NOTICE);
    is_not_cloudtrail(&sns("CloudTrail validation message."));
    is_not_cloudtrail(&sqs("CloudTrail validation message."));
    is_not_cloudtrail(&receive_message(&[
        sns("CloudTrail validation message."),
        sns(TRAIL_NOTICE),
    ]));
    is_other(&feed("CloudTrail validation message."));
    is_other(&feed("CloudTrail validation message.\n"));
}

// 23 to 25
#[test]
fn notices_of_s3_are_no_events() {
    is_not_cloudtrail(S3_NOTICE);
    let bare = S3_NOTICE
        .strip_prefix(r#"{"Records":["#)
        .and_then(|rest| rest.strip_suffix("]}"))
        .unwrap();
    is_not_cloudtrail(bare);
    is_not_cloudtrail(&sqs(S3_NOTICE));
    is_not_cloudtrail(&sns(S3_NOTICE));
    is_not_cloudtrail(&sqs(&sns(S3_NOTICE)));
    is_not_cloudtrail(&receive_message(&[sns(S3_NOTICE), S3_NOTICE.to_owned()]));
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-10-13T15:57:02.089Z","Bucket":"b","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}"#;
    is_not_cloudtrail(test);
    is_not_cloudtrail(&sqs(test));
    is_not_cloudtrail(&event_bridge(
        "Object Created",
        "aws.s3",
        r#"{"version":"0","bucket":{"name":"b"},"object":{"key":"AWSLogs/a b.json.gz","size":5,"etag":"b1","sequencer":"006"},"request-id":"N4","requester":"123456789012","source-ip-address":"1.2.3.4","reason":"PutObject"}"#,
    ));
}

// 26
#[test]
fn queue_messages_are_taken_apart_however_they_nest() {
    let records = records(3);
    let bridge = event_bridge("AWS API Call via CloudTrail", "aws.rds", &records[0]);
    let one = &records[..1];
    reads(&sqs(&records[0]), one);
    reads(&sqs(&bridge), one);
    reads(&sns(&bridge), one);
    reads(&sqs(&sns(&bridge)), one);
    reads(&receive_message(&[sns(&bridge)]), one);
    reads(&receive_message(&records), &records);
    reads(&sqs(&log_file(&records)), &records);
    reads(&sqs(&pretty(&log_file(&records))), &records);
    reads(&sqs(&records.join("\n")), &records);
    let lambda = format!(
        r#"{{"Records":[{{"EventVersion":"1.0","EventSubscriptionArn":"arn:aws:sns:us-east-1:1:t:s","EventSource":"aws:sns","Sns":{{"SignatureVersion":"1","Timestamp":"2026-01-02T12:45:07.000Z","MessageId":"95","Message":{},"MessageAttributes":{{}},"Type":"Notification","TopicArn":"arn:aws:sns:us-east-1:1:t","Subject":"s"}}}}]}}"#,
        quoted(&bridge)
    );
    reads(&lambda, one);
}

// 27
#[test]
fn results_of_cloudtrail_lake_queries_are_recognised() {
    is_not_cloudtrail(
        r#"{"QueryStatus":"FINISHED","QueryStatistics":{"ResultsCount":1,"TotalResultsCount":1,"BytesScanned":1},"QueryResultRows":[[{"eventName":"ModifyDBCluster"},{"eventSource":"rds.amazonaws.com"},{"eventID":"e"}]]}"#,
    );
    let csv = "eventid,eventname,eventsource,useridentity,requestparameters\n\"e-1\",\"ModifyDBCluster\",\"rds.amazonaws.com\",\"{type=IAMUser, username=maria}\",\"{a=b}\"\n";
    is_other(&feed(csv));
    is_other(&feed(gzip(csv)));
    is_not_cloudtrail(
        r#"{"version":"1.0","region":"us-east-1","files":[{"fileHashValue":"de85a48b8a363033c891abd723181243620a3af3b6505f0a44db77e147e9c188","fileName":"result_1.csv.gz"}],"hashAlgorithm":"SHA-256","signatureAlgorithm":"SHA256withRSA","queryCompleteTime":"2026-05-10T22:06:30Z","hashSignature":"7664652aaf1d5a17a12ba50abe6aca77c0ec76264bdf7dce71ac6d1c7781117c","publicKeyFingerprint":"67b9fa73676d86966b449dd677850753"}"#,
    );
}

// 28, 32
#[test]
fn broken_parquet_and_iceberg_are_recognised() {
    let parquet = [b"PAR1".as_slice(), &[21, 4, 21, 0, 0xff, 0x80], b"PAR1"].concat();
    for fed in [feed(parquet.clone()), feed_stream(&parquet, &[1])] {
        assert_eq!(fed.rejects.len(), 1, "{fed:?}");
        assert!(fed.rejects[0].starts_with("damaged Parquet: "), "{fed:?}");
    }
    is_not_cloudtrail(
        r#"{"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"s3://b/t","last-sequence-number":34,"schemas":[],"snapshots":[]}"#,
    );
}

// 29
#[test]
fn athenas_csv_is_recognised() {
    let csv = "\"eventversion\",\"useridentity\",\"eventtime\",\"eventsource\",\"eventname\"\n\"1.08\",\"{type=IAMUser, principalid=AIDA, arn=arn:aws:iam::1:user/m}\",\"2026-03-04T05:06:07Z\",\"rds.amazonaws.com\",\"ModifyDBCluster\"\n";
    is_other(&feed(csv));
}

// 30
#[test]
fn bare_records_are_read() {
    let all = records(6);
    reads(&record(1), &[record(1)]);
    reads(&format!("[{}]", all.join(",")), &all);
    reads_lines(&all.join("\n"), &all);
    let files = format!("{}\n{}\n", log_file(&all[..2]), log_file(&all[2..]));
    reads_lines(&files, &all);
    let nice: String = all.iter().map(|record| pretty(record) + "\n").collect();
    let fed = feed(nice);
    assert_eq!(fed.values().len(), 6);
    assert!(sound(&fed), "{fed:?}");
    let mixed = format!("{}\n{}{}", all[0], log_file(&all[1..3]), pretty(&all[3]));
    assert_eq!(feed(mixed).outcome.events, 4);
}

#[test]
fn what_is_not_a_record_among_records_is_counted() {
    let text = format!(
        r#"{{"Records":[{},{{"hello":1}},7,null,"text",[],{{}},{}]}}"#,
        record(0),
        record(1)
    );
    let fed = feed(text);
    assert_eq!(fed.records, [record(0), record(1)]);
    assert!(fed.others() + fed.rejects.len() as u64 >= 2, "{fed:?}");
    for not in ["", r#""eventName":5,"#] {
        let text = record(0).replace(r#""eventName":"ModifyDBCluster","#, not);
        let fed = feed(text);
        assert_eq!(fed.rejects.len(), 1, "{fed:?}");
        assert_eq!((fed.records.len(), fed.others()), (0, 0), "{fed:?}");
    }
    for (key, not) in [
        (r#""eventSource":"rds.amazonaws.com","#, ""),
        (
            r#""eventSource":"rds.amazonaws.com","#,
            r#""eventSource":null,"#,
        ),
        (
            r#""eventSource":"rds.amazonaws.com","#,
            r#""eventSource":"aws:x","#,
        ),
    ] {
        let text = record(0).replace(key, not);
        assert_ne!(text, record(0));
        is_other(&feed(text));
    }
    let mut least = r#"{"eventName":"A","eventSource":"s"}"#.to_owned();
    is_other(&feed(least.clone()));
    for key in ["eventVersion", "eventID", "eventTime"] {
        least.insert_str(1, &format!(r#""{key}":"x","#));
        assert_eq!(feed(least.clone()).outcome.events, 1, "{least}");
        least = r#"{"eventName":"A","eventSource":"s"}"#.to_owned();
    }
}

// 31
#[test]
fn damaged_compression_is_a_reject_and_keeps_what_came_before() {
    let text: String = (0..200).map(|number| record(number) + "\n").collect();
    for bytes in [gzip(&text), zstd(&text), bzip2(&text), gzip(gzip(&text))] {
        let whole = feed(bytes.clone());
        assert_eq!(whole.outcome.events, 200);
        for cut in [bytes.len() - 1, bytes.len() / 2, 20, 11, 4, 3] {
            let fed = feed(bytes[..cut].to_vec());
            assert!(!fed.rejects.is_empty(), "{cut}: {fed:?}");
            assert!(whole.records.starts_with(&fed.records), "{cut}");
        }
    }
    let garbage = [gzip(&text), b"\0\0\0\0\0\0\0\0".to_vec()].concat();
    assert_eq!(feed(garbage).records.len(), 200);
    // What lies between whole members is damage, their records are not.
    let rubbish = [&gzip(&text)[..], b"rubbish", &gzip(&text), b"more"].concat();
    let fed = feed(rubbish);
    assert_eq!((fed.outcome.events, fed.outcome.salvaged), (400, 0));
    assert_eq!(fed.rejects.len(), 2, "{fed:?}");
}

#[test]
fn the_optional_fields_of_a_gzip_header_are_stepped_over() {
    // Extra, name, comment and the header's own checksum; flags as in RFC 1952.
    let fields: [(u8, &[u8]); 4] = [
        (4, b"\x05\0extra"),
        (8, b"123456789012_CloudTrail.json\0"),
        (16, b"no comment\0"),
        (2, b"ab"),
    ];
    let plain = gzip(record(0));
    for wanted in 0..16 {
        let mut bytes = plain[..10].to_vec();
        for (bit, (flag, field)) in fields.iter().enumerate() {
            if wanted >> bit & 1 == 1 {
                bytes[3] |= flag;
                bytes.extend(*field);
            }
        }
        bytes.extend(&plain[10..]);
        let twice = [bytes.clone(), bytes.clone()].concat();
        assert_eq!(feed_stream(&twice, &[3]).outcome.events, 2, "{wanted:04b}");
        assert_eq!(feed(bytes).outcome.events, 1, "{wanted:04b}");
        let fed = feed(twice[..18].to_vec());
        assert!(!fed.rejects.is_empty(), "{wanted:04b}: {fed:?}");
    }
    let name = [&plain[..3], &[8], &plain[4..10], b"name without an end"].concat();
    assert!(!feed(name).rejects.is_empty());
}

// 33
#[test]
fn a_database_activity_stream_is_recognised() {
    let text = r#"{"type":"DatabaseActivityMonitoringRecords","version":"1.1","databaseActivityEvents":"AYABeCXXXXXXXXXXX==","key":"AQIDAHgXXXX=="}"#;
    is_not_cloudtrail(text);
    is_not_cloudtrail(&get_records(&[text.as_bytes().to_vec()]));
    is_not_cloudtrail(&get_records(&[kpl(&[text.as_bytes().to_vec()])]));
}

#[test]
fn wrappers_nest_up_to_a_limit() {
    let nest = |depth: usize| {
        let mut bytes = record(0).into_bytes();
        for _ in 0..depth {
            bytes = firehose(&[bytes]).into_bytes();
        }
        bytes
    };
    assert_eq!(feed(nest(5)).outcome.events, 1);
    for depth in [MAX_WRAPPERS * 2, 30] {
        let fed = feed(nest(depth));
        assert_eq!(fed.records.len(), 0);
        assert_eq!(fed.rejects.len(), 1, "{:?}", fed.rejects);
    }
    let mut bytes = record(0).into_bytes();
    for depth in 1..=100 {
        bytes = gzip(bytes);
        if depth == 4 {
            assert_eq!(feed(bytes.clone()).outcome.events, 1);
        }
    }
    let fed = feed(bytes);
    assert_eq!(fed.records.len(), 0);
    assert!(fed.rejects.len() as u64 + fed.others() > 0, "{fed:?}");
}

#[test]
fn what_is_nested_may_not_inflate_without_end() {
    let bomb = gzip(vec![b' '; MAX_NESTED_BYTES + 1000]);
    let data = [record(0).into_bytes(), bomb, gzip(record(1))];
    let fed = feed(firehose(&data));
    assert_eq!(fed.records, [record(0), record(1)]);
    assert!(!fed.rejects.is_empty());
}
