//! The permissions that a source needs.

use super::kinesis::Stream;
use super::live::Address;
use super::{Location, S3};
use crate::error::Result;

/// Actions that are needed on resources, as a statement of an IAM policy has them.
///
/// See <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The actions: `kinesis:GetRecords`.
    pub actions: Vec<&'static str>,
    /// The ARNs, with `{region}` and `{account}` where the location names none.
    pub resources: Vec<String>,
    /// The prefixes that listing is limited to (`s3:prefix`); empty for no limit.
    pub prefixes: Vec<String>,
}

impl Permission {
    fn new<const N: usize>(actions: [&'static str; N], resource: impl Into<String>) -> Self {
        Self {
            actions: actions.to_vec(),
            resources: vec![resource.into()],
            prefixes: Vec::new(),
        }
    }
}

/// Returns the permissions for reading `location`; none for what is on this machine.
///
/// # Errors
/// Config, for URLs that their source does not understand.
pub fn permissions(location: &Location) -> Result<Vec<Permission>> {
    match location {
        Location::Local(_) => Ok(Vec::new()),
        Location::S3(s3) => Ok(of_objects(s3)),
        Location::Url(url) => match location.scheme() {
            "kinesis" => Stream::parse(url).map(|stream| of_stream(&stream)),
            "logs" => of_logs(url),
            "cloudtrail" => Ok(vec![Permission::new(["cloudtrail:LookupEvents"], "*")]),
            _ => Ok(Vec::new()),
        },
    }
}

/// Returns the permissions for a lake at `s3://bucket/prefix`: to read it, and to write it too.
pub fn lake_permissions(bucket: &str, prefix: &str) -> Vec<Permission> {
    let prefix = prefix.trim_matches('/');
    let below = match prefix {
        "" => "*".to_owned(),
        prefix => format!("{prefix}/*"),
    };
    let objects = [
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
    ];
    vec![
        Permission {
            prefixes: vec![below.clone()],
            ..Permission::new(["s3:ListBucket"], format!("arn:aws:s3:::{bucket}"))
        },
        Permission::new(objects, format!("arn:aws:s3:::{bucket}/{below}")),
    ]
}

fn of_objects(s3: &S3) -> Vec<Permission> {
    let bucket = &s3.bucket;
    let prefixes: Vec<String> = s3
        .patterns
        .iter()
        .map(|pattern| format!("{}*", pattern.literal_prefix()))
        .collect();
    let objects = prefixes
        .iter()
        .map(|prefix| format!("arn:aws:s3:::{bucket}/{prefix}"));
    vec![
        Permission {
            actions: vec!["s3:GetObject"],
            resources: objects.collect(),
            prefixes: Vec::new(),
        },
        Permission {
            prefixes,
            ..Permission::new(["s3:ListBucket"], format!("arn:aws:s3:::{bucket}"))
        },
    ]
}

fn of_stream(stream: &Stream) -> Vec<Permission> {
    let arn = match stream.name.starts_with("arn:") {
        true => stream.name.clone(),
        false => {
            let region = stream.region.as_deref().unwrap_or("{region}");
            format!(
                "arn:aws:kinesis:{region}:{{account}}:stream/{}",
                stream.name
            )
        }
    };
    let Some(consumer) = &stream.consumer else {
        let actions = [
            "kinesis:ListShards",
            "kinesis:GetShardIterator",
            "kinesis:GetRecords",
        ];
        return vec![Permission::new(actions, arn)];
    };
    let on_stream = [
        "kinesis:ListShards",
        // For the ends of closed shards.
        "kinesis:GetShardIterator",
        "kinesis:GetRecords",
        "kinesis:DescribeStreamSummary",
        "kinesis:RegisterStreamConsumer",
    ];
    let on_consumer = ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"];
    let consumer = format!("{arn}/consumer/{consumer}:*");
    vec![
        Permission::new(on_stream, arn),
        Permission::new(on_consumer, consumer),
    ]
}

fn of_logs(url: &str) -> Result<Vec<Permission>> {
    let address = Address::parse(url, super::logs::PARAMETERS)?;
    let region = address.get("region").unwrap_or("{region}");
    let group = match address.name.trim_end_matches(":*") {
        arn if arn.starts_with("arn:") => format!("{arn}:*"),
        name => format!("arn:aws:logs:{region}:{{account}}:log-group:{name}:*"),
    };
    let is_live_tail = address
        .get("mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("live-tail"));
    let action = if is_live_tail {
        "logs:StartLiveTail"
    } else {
        "logs:FilterLogEvents"
    };
    let mut permissions = vec![Permission::new([action], group)];
    if address.name.ends_with('*') || is_live_tail {
        let all = format!("arn:aws:logs:{region}:{{account}}:log-group:*");
        permissions.push(Permission::new(["logs:DescribeLogGroups"], all));
    }
    Ok(permissions)
}
