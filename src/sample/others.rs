//! Events outside databases: sign-ins, roles, keys, buckets, and actions that RDS takes on its own.

use super::actors::{ACTORS, Actor, Agent, EVENTS, Identity, OTHERS};
use super::event::{Call, Event, SERVICE_EVENT, SIGN_IN};
use super::json::{push_base62, push_uuid};
use super::world::{SECURITY, resource_id};

const ASSUME_ROLE: Call = Call::read("sts", "AssumeRole", "sts.assume-role");

/// Writes one call of another service.
pub(super) fn write(event: &mut Event<'_>) {
    match event.random.below(20) {
        0..6 => assume_role(event),
        6..11 => decrypt(event),
        11..14 => bucket(event),
        14 => console_login(event),
        15 => roles(event),
        16 => put_role_policy(event),
        17 => secret(event),
        18 => log_stream(event),
        _ => caller_identity(event),
    }
}

/// Writes an AssumeRole call: the caller assumes `role`, in a session that begins at `start`.
pub(super) fn write_assume_role(event: &mut Event<'_>, role: &'static Actor, start: i64) {
    let scope = event.scope;
    let arn = role.role_arn(scope);
    event.set_resource("AWS::IAM::Role", &arn);
    event.write(&ASSUME_ROLE, |event| {
        event.request(|event| {
            event.json.text("roleArn", &arn);
            event.json.text("roleSessionName", role.session);
            event.json.number("durationSeconds", 3600);
        });
        event.answer(|event| {
            event.json.open("credentials");
            event.json.built("accessKeyId", |out| {
                role.push_access_key(out, scope.account, start)
            });
            let token = event.random.draw();
            event.json.built("sessionToken", |out| {
                out.push_str("SAMPLE//////////");
                push_base62(out, token, 240);
                out.push_str("==");
            });
            event.rds_time("expiration", start + 3600);
            event.json.close();
            event.json.open("assumedRoleUser");
            let principal = role.principal();
            event
                .json
                .parts("assumedRoleId", &[&principal, ":", role.session]);
            event.json.text("arn", &role.arn(scope.account));
            event.json.close();
        });
    });
}

fn assume_role(event: &mut Event<'_>) {
    let account = event.scope.account;
    let fits = |actor: &Actor| {
        let here = actor.account.is_empty() || actor.account == account;
        let role = matches!(actor.identity, Identity::Role | Identity::Linked);
        if here && role { actor.weight } else { 0 }
    };
    let role = event.random.weighted(ACTORS, fits);
    let start = event.time;
    if role.identity == Identity::Linked {
        let service = SERVICES.iter().find(|one| one.name == role.address);
        event.act_as(service.expect("all that have a role are listed"));
    } else {
        event.pick_actor(OTHERS);
    }
    if role.name == "OrganizationAuditRole" {
        let id = [event.random.draw(), event.random.draw()];
        event.extra.push_str(r#","sharedEventID":""#);
        push_uuid(&mut event.extra, id[0], id[1]);
        event.extra.push('"');
        event.act_as(&SCANNER);
    }
    write_assume_role(event, role, start);
}

const fn service(name: &'static str) -> Actor {
    Actor {
        identity: Identity::Service,
        name,
        session: "",
        account: "",
        address: name,
        agent: Agent::Service,
        jobs: 0,
        weight: 0,
    }
}

static SERVICES: [Actor; 4] = [
    service("cloudtrail.amazonaws.com"),
    service("config.amazonaws.com"),
    service("rds.amazonaws.com"),
    service("backup.amazonaws.com"),
];

/// A caller of another account, as recorded in the called account.
static SCANNER: Actor = Actor {
    identity: Identity::Foreign,
    name: SECURITY,
    session: "security-scan",
    account: "",
    address: "198.51.100.200",
    agent: Agent::Java,
    jobs: 0,
    weight: 0,
};

fn decrypt(event: &mut Event<'_>) {
    event.pick_actor(OTHERS);
    let database = event.cluster();
    let key = event.scope.kms_key();
    event.set_resource("AWS::KMS::Key", &key);
    let (name, command) = match event.random.below(3) {
        0 => ("GenerateDataKey", "kms.generate-data-key"),
        1 => ("DescribeKey", "kms.describe-key"),
        _ => ("Decrypt", "kms.decrypt"),
    };
    let call = Call::read("kms", name, command);
    event.write_read(&call, |event| {
        event.request(|event| {
            if name != "Decrypt" {
                event.json.text("keyId", &key);
            }
            if name != "DescribeKey" {
                event.json.open("encryptionContext");
                let id = resource_id("cluster", database.name);
                event.json.text("aws:rds:dbc-id", &id);
                event.json.close();
                event.json.text("encryptionAlgorithm", "SYMMETRIC_DEFAULT");
            }
        });
    });
}

fn bucket(event: &mut Event<'_>) {
    event.act_as(&SERVICES[0]);
    let account = event.scope.account;
    let name = ["example-trail-", account].concat();
    event.set_resource("AWS::S3::Bucket", &["arn:aws:s3:::", &name].concat());
    let call = Call::read("s3", "GetBucketAcl", "s3api.get-bucket-acl");
    event.write_read_with(
        &call,
        |event| {
            event.request(|event| {
                event.json.text("bucketName", &name);
                let host = [&name, ".s3.", event.scope.region, ".amazonaws.com"];
                event.json.parts("Host", &host);
                event.json.text("acl", "");
            });
        },
        |event| {
            event.json.text("SignatureVersion", "SigV4");
            event.json.text("CipherSuite", "TLS_AES_128_GCM_SHA256");
            event.json.number("bytesTransferredIn", 0);
            event.json.text("AuthenticationMethod", "AuthHeader");
            let id = event.random.draw();
            event.json.built("x-amz-id-2", |out| {
                push_base62(out, id, 74);
                out.push_str("==");
            });
            event.json.number("bytesTransferredOut", 549);
        },
    );
}

fn console_login(event: &mut Event<'_>) {
    let account = event.scope.account;
    let fits = |actor: &Actor| {
        let here = actor.account.is_empty() || actor.account == account;
        let person = actor.agent == Agent::Console;
        if here && person { actor.weight } else { 0 }
    };
    let actor = event.random.weighted(ACTORS, fits);
    event.act_as(actor);
    event.session = event.time;
    event.kind = SIGN_IN;
    let call = Call::write("signin", "ConsoleLogin", "");
    event.write(&call, |event| {
        event.json.null("requestParameters");
        event.answer(|event| {
            event.json.text("ConsoleLogin", "Success");
        });
        event.json.open("additionalEventData");
        let region = event.scope.region;
        let home = [
            "https://",
            region,
            ".console.aws.amazon.com/rds/home?region=",
        ];
        let hash = format!("{}{region}\\u0026state=hashArgs%23databases", home.concat());
        event.json.text("LoginTo", &hash);
        event.json.text("MobileVersion", "No");
        let root = actor.identity == Identity::Root;
        event.json.text("MFAUsed", if root { "Yes" } else { "No" });
        event.json.close();
    });
}

fn roles(event: &mut Event<'_>) {
    event.pick_actor(OTHERS);
    let call = Call::read("iam", "GetRole", "iam.get-role");
    event.write_read(&call, |event| {
        event.request_text("roleName", "rds-monitoring-role");
    });
}

/// A policy in the form of IAM's events: JSON in a string.
const POLICY: &str = r#"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"rds-data:ExecuteStatement\",\"rds-data:BatchExecuteStatement\"],\"Resource\":\"arn:aws:rds:*:*:cluster:*\",\"Condition\":{\"StringEquals\":{\"aws:ResourceTag\/team\":\"Shop \u0026 Orders\"}}}]}"#;

fn put_role_policy(event: &mut Event<'_>) {
    event.pick_actor(OTHERS);
    let call = Call::write("iam", "PutRolePolicy", "iam.put-role-policy");
    event.write(&call, |event| {
        event.request(|event| {
            event.json.text("roleName", "orders-api-role");
            event.json.text("policyName", "data-api");
            event.json.text("policyDocument", POLICY);
        });
        event.json.null("responseElements");
    });
}

fn secret(event: &mut Event<'_>) {
    event.pick_actor(OTHERS);
    let name = [event.cluster().name, "/app"].concat();
    let secret = event.scope.secret(&name);
    let call = Call::read(
        "secretsmanager",
        "GetSecretValue",
        "secretsmanager.get-secret-value",
    );
    event.write_read(&call, |event| {
        event.request_text("secretId", &secret);
    });
}

fn log_stream(event: &mut Event<'_>) {
    event.pick_actor(OTHERS);
    let (database, nth) = event.instance();
    let call = Call::write("logs", "CreateLogStream", "logs.create-log-stream");
    event.write_read(&call, |event| {
        event.request(|event| {
            let group = ["/aws/rds/cluster/", database.name, "/postgresql"];
            event.json.parts("logGroupName", &group);
            let stream = [&database.instance(nth), ".0"].concat();
            event.json.text("logStreamName", &stream);
        });
    });
}

/// Writes a GetCallerIdentity call, a thief's first step.
pub(super) fn write_caller_identity(event: &mut Event<'_>) {
    let call = Call::read("sts", "GetCallerIdentity", "sts.get-caller-identity");
    event.write_read(&call, |event| event.json.null("requestParameters"));
}

fn caller_identity(event: &mut Event<'_>) {
    event.pick_actor(OTHERS);
    write_caller_identity(event);
}

/// Writes an action that RDS took on its own.
pub(super) fn write_service_event(event: &mut Event<'_>) {
    event.pick_actor(EVENTS);
    event.kind = SERVICE_EVENT;
    let database = event.cluster();
    let (name, message) = match event.random.below(6) {
        0 => ("FailoverDBCluster", "Completed failover to DB instance"),
        1 => (
            "ApplyPendingMaintenanceAction",
            "Patched to the newest minor version",
        ),
        _ => ("CreateDBClusterSnapshot", "Automated snapshot created"),
    };
    let id = resource_id("cluster", database.name);
    let arn = event.arn("cluster", database.name);
    event.set_resource("AWS::RDS::DBCluster", &arn);
    event.extra = format!(
        r#","serviceEventDetails":{{"dBClusterIdentifier":"{}","dbClusterResourceId":"{id}","engine":"{}","message":"{message}"}}"#,
        database.name, database.engine
    );
    let call = Call::write("rds", name, "");
    event.write_read(&call, |event| event.json.null("requestParameters"));
}
