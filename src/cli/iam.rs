//! `auroratrail iam`: the smallest policy for a command.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Opened;
use crate::error::Result;
use crate::source::{Location, Permission, lake_permissions, permissions};

/// Print the smallest IAM policy for reading sources, and for writing a lake
///
/// Nothing is asked of AWS. The account and the region stand as * where they are not given.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct IamArguments {
    /// Where to read, as in ingest
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// The lake to write
    #[arg(long, value_name = "LAKE")]
    to: Option<String>,

    /// Verify the sources with verify-trail too, which asks for CloudTrail's public keys
    #[arg(long)]
    verify_trail: bool,

    /// Register the lake in this database of Glue's, with catalog --apply
    #[arg(long, value_name = "DATABASE")]
    glue: Option<String>,

    /// The account that streams and log groups belong to
    #[arg(long, value_name = "ID", default_value = "*")]
    account: String,

    /// The region that they are in, if the source does not say
    #[arg(long, value_name = "REGION", env = "AWS_REGION", default_value = "*")]
    region: String,
}

const EXAMPLES: &str = "\
Examples:
  auroratrail iam kinesis://trail-stream --to s3://bucket/lake --account 123456789012 --region eu-west-1
  auroratrail iam s3://bucket/AWSLogs/ > policy.json";

pub(super) fn run(arguments: &IamArguments) -> Result<ExitCode> {
    let opened = Opened::parse(&arguments.sources)?;
    let mut needed = Vec::new();
    for location in &opened.locations {
        needed.extend(permissions(location)?);
    }
    if let Some(to) = &arguments.to {
        needed.extend(of_lake(&opened.sources.parse(to)?));
    }
    if arguments.verify_trail {
        needed.push(Permission {
            actions: vec!["cloudtrail:ListPublicKeys"],
            resources: vec!["*".to_owned()],
            prefixes: Vec::new(),
        });
    }
    if let Some(database) = &arguments.glue {
        needed.push(of_glue(database));
    }
    let fill = |resource: &String| {
        resource
            .replace("{account}", &arguments.account)
            .replace("{region}", &arguments.region)
    };
    let mut statements: Vec<Statement> = Vec::new();
    for permission in &needed {
        let statement = Statement::new(permission, fill);
        if !statements.contains(&statement) {
            statements.push(statement);
        }
    }
    let policy = Policy {
        version: "2012-10-17",
        statement: statements,
    };
    let policy = serde_json::to_string_pretty(&policy).expect("a policy is JSON");
    println!("{policy}");
    if needed.is_empty() {
        eprintln!("auroratrail: nothing of this is in AWS, so that no permission is needed");
    } else {
        eprintln!(
            "auroratrail: note: for what is encrypted with a KMS key of your own, kms:Decrypt on that key is \
             needed too (and kms:GenerateDataKey for a lake)"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn of_lake(lake: &Location) -> Vec<Permission> {
    match lake {
        Location::S3(s3) => lake_permissions(s3.bucket(), &s3.prefix()),
        Location::Local(_) | Location::Url(_) => Vec::new(),
    }
}

/// Returns the permissions for registering tables in a database.
fn of_glue(database: &str) -> Permission {
    let resources = [
        "catalog".to_owned(),
        format!("database/{database}"),
        format!("table/{database}/*"),
    ];
    let resources = resources.map(|it| format!("arn:aws:glue:{{region}}:{{account}}:{it}"));
    Permission {
        actions: vec![
            "glue:GetTable",
            "glue:CreateTable",
            "glue:UpdateTable",
            "glue:CreateDatabase",
        ],
        resources: resources.to_vec(),
        prefixes: Vec::new(),
    }
}

/// A policy document.
///
/// See <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<serde_json::Value>,
}

impl Statement {
    fn new(permission: &Permission, fill: impl Fn(&String) -> String) -> Self {
        let prefixes = &permission.prefixes;
        let condition = serde_json::json!({"StringLike": {"s3:prefix": prefixes}});
        Self {
            effect: "Allow",
            action: permission.actions.clone(),
            resource: permission.resources.iter().map(fill).collect(),
            condition: (!prefixes.is_empty()).then_some(condition),
        }
    }
}
