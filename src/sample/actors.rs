//! The callers: people, programs and services, and the identity that CloudTrail records for each.

use super::clock::push_iso;
use super::json::{Json, id_of, push_base32, push_hex};
use super::world::{ANALYTICS, PROD, STAGING, Scope};

/// The kind of a caller's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// An IAM user with a long-lived key.
    User,
    /// The account's owner.
    Root,
    /// A person through IAM Identity Center.
    Sso,
    /// A role that a program assumed.
    Role,
    /// A role of a Lambda function.
    Lambda,
    /// A role of an EC2 instance.
    Ec2,
    /// A role through an OpenID Connect provider.
    Web,
    /// A service-linked role, through which AWS acts for the customer.
    Linked,
    /// An AWS service by itself.
    Service,
    /// A caller of another account, whose number is its name.
    Foreign,
}

/// The client that a caller uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    Console,
    Cli,
    Boto,
    Terraform,
    Java,
    /// An in-house program with quotes in its name.
    Bot,
    /// An in-house program with an escaped ampersand in its name.
    Dashboard,
    /// A service, under its own name.
    Service,
}

/// Reads of RDS.
pub(super) const READS: u8 = 1;
/// Changes to RDS.
pub(super) const WRITES: u8 = 2;
/// SQL through the Data API or DSQL.
pub(super) const SQL: u8 = 4;
/// Other services.
pub(super) const OTHERS: u8 = 8;
/// Service events.
pub(super) const EVENTS: u8 = 16;
/// Calls that are denied.
pub(super) const DENIED: u8 = 32;
/// Changes to snapshots only.
pub(super) const SNAPSHOTS: u8 = 64;

/// A caller.
#[derive(Debug)]
pub(super) struct Actor {
    pub identity: Identity,
    /// Name of the user, role, permission set or service.
    pub name: &'static str,
    /// Session name of a role.
    pub session: &'static str,
    /// Account of the caller; empty if it calls in every account.
    pub account: &'static str,
    pub address: &'static str,
    pub agent: Agent,
    /// Kinds of its calls: [`READS`] and the like, added.
    pub jobs: u8,
    pub weight: u32,
}

macro_rules! actors {
    ($($identity:ident $name:literal $session:literal $account:expr, $address:literal
       $agent:ident $jobs:expr, $weight:literal;)*) => {
        &[$(Actor {
            identity: Identity::$identity,
            name: $name,
            session: $session,
            account: $account,
            address: $address,
            agent: Agent::$agent,
            jobs: $jobs,
            weight: $weight,
        }),*]
    };
}

const DBA: u8 = READS | WRITES | OTHERS;
const DEV: u8 = READS | OTHERS | DENIED;

/// All callers except the story's.
#[rustfmt::skip]
pub(super) const ACTORS: &[Actor] = actors![
    Sso "DatabaseAdministrator" "maria.lopez@example.com" PROD, "203.0.113.24" Console DBA, 14;
    Sso "DatabaseAdministrator" "kenji.sato@example.com" PROD, "203.0.113.61" Cli DBA, 12;
    Sso "DatabaseAdministrator" "ines.moreau@example.com" ANALYTICS, "203.0.113.25" Console DBA, 12;
    Sso "DatabaseAdministrator" "tomas.novak@example.com" STAGING, "2001:db8:4:17::a2" Cli DBA, 12;
    Sso "PowerUserAccess" "amara.okafor@example.com" STAGING, "203.0.113.88" Console DBA, 10;
    Sso "PowerUserAccess" "lukas.weber@example.com" ANALYTICS, "198.51.100.14" Cli READS | WRITES, 8;
    Sso "ReadOnlyAccess" "priya.nair@example.com" PROD, "203.0.113.90" Console DEV, 8;
    Sso "ReadOnlyAccess" "sofia.rossi@example.com" PROD, "203.0.113.92" Cli DEV, 6;
    Sso "ReadOnlyAccess" "noah.keller@example.com" STAGING, "198.51.100.31" Console DEV, 6;
    Sso "ReadOnlyAccess" "chloe.martin@example.com" ANALYTICS, "198.51.100.32" Boto DEV, 6;
    Sso "SecurityAudit" "omar.haddad@example.com" "", "203.0.113.140" Console READS | OTHERS, 4;
    User "dba-oncall" "" PROD, "203.0.113.200" Cli DBA, 3;
    User "j.fischer" "" STAGING, "203.0.113.201" Cli DEV, 4;
    User "contractor.kim" "" ANALYTICS, "192.0.2.77" Boto DEV, 4;
    User "grafana-reader" "" "", "10.20.4.18" Dashboard READS | DENIED, 18;
    User "svc-backup-legacy" "" PROD, "203.0.113.7" Cli READS, 1;
    User "svc-metrics" "" ANALYTICS, "10.40.2.9" Java READS, 8;
    Role "terraform-deploy" "terraform-cloud-run" "", "192.0.2.10" Terraform READS | WRITES | OTHERS, 26;
    Role "terraform-plan" "terraform-cloud-plan" "", "192.0.2.11" Terraform READS | OTHERS | DENIED, 16;
    Web "github-actions-migrations" "GitHubActions" "", "192.0.2.143" Boto READS | WRITES | DENIED, 10;
    Web "github-actions-preview" "GitHubActions" STAGING, "192.0.2.151" Cli READS | WRITES | SQL, 8;
    Lambda "snapshot-janitor-role" "snapshot-janitor" "", "10.8.1.77" Boto READS | WRITES | SNAPSHOTS, 7;
    Lambda "log-shipper-role" "rds-log-shipper" "", "10.8.2.14" Boto READS, 34;
    Lambda "inventory-role" "db-inventory" "", "10.8.2.90" Bot READS | DENIED, 22;
    Lambda "orders-api-role" "orders-api" PROD, "10.8.3.21" Java SQL, 40;
    Lambda "payments-worker-role" "payments-worker" PROD, "10.8.3.40" Boto SQL, 34;
    Lambda "customers-sync-role" "customers-sync" PROD, "10.16.3.40" Boto SQL, 20;
    Lambda "catalog-search-role" "catalog-search" STAGING, "10.24.3.12" Java SQL, 18;
    Lambda "etl-loader-role" "etl-loader" ANALYTICS, "10.40.3.5" Boto SQL | READS, 30;
    Lambda "forms-backend-role" "forms-backend" STAGING, "10.24.5.8" Java SQL, 16;
    Ec2 "datadog-agent-role" "i-0a1b2c3d4e5f60718" PROD, "10.8.7.30" Java READS, 24;
    Ec2 "bastion-role" "i-0f9e8d7c6b5a49382" PROD, "10.8.9.4" Cli READS | OTHERS | DENIED, 4;
    Ec2 "airflow-worker-role" "i-01234abcd5678ef90" ANALYTICS, "10.40.7.61" Boto READS | SQL, 16;
    Role "OrganizationAuditRole" "security-scan" "", "198.51.100.200" Java READS | OTHERS, 12;
    Linked "AWSServiceRoleForRDS" "rds" "", "rds.amazonaws.com" Service OTHERS, 6;
    Linked "AWSServiceRoleForConfig" "configLambdaExecution" "", "config.amazonaws.com" Service READS, 24;
    Linked "AWSServiceRoleForBackup" "AWSBackup" "", "backup.amazonaws.com" Service READS | WRITES | SNAPSHOTS, 4;
    Root "root" "" PROD, "203.0.113.2" Console READS | OTHERS, 1;
    Root "root" "" STAGING, "203.0.113.2" Console READS | WRITES | OTHERS, 1;
    Service "rds.amazonaws.com" "" "", "rds.amazonaws.com" Service EVENTS, 10;
];

/// The story's callers: a stolen key, and the role that it assumes.
#[rustfmt::skip]
pub(super) const INTRUDER: &[Actor] = actors![
    User "svc-backup-legacy" "" PROD, "198.51.100.77" Cli DENIED, 1;
    Role "dba-breakglass" "svc-backup-legacy" PROD, "198.51.100.77" Cli WRITES, 1;
];

impl Actor {
    /// Returns whether AWS is the caller, on its own or for the customer; such calls have no TLS
    /// details and no IP address.
    pub fn is_aws(&self) -> bool {
        matches!(self.identity, Identity::Linked | Identity::Service)
    }

    /// Returns the start of the session in progress at `time`; people stay for hours.
    pub fn session_start(&self, time: i64) -> i64 {
        let length = match self.identity {
            Identity::Sso | Identity::Root => 4 * 3600,
            _ => 3600,
        };
        let shift = i64::try_from(id_of(self.session) % 3000).expect("below 3000");
        time - (time - shift).rem_euclid(length)
    }

    /// Appends the access key of the session that began at `start`; a user has one permanent key.
    pub fn push_access_key(&self, out: &mut String, account: &str, start: i64) {
        let own = id_of(self.name) ^ id_of(self.session) ^ id_of(account);
        if self.identity == Identity::User {
            out.push_str("AKIA");
            push_base32(out, own, 16);
        } else {
            out.push_str("ASIA");
            push_base32(out, own ^ start.unsigned_abs(), 16);
        }
    }

    /// Returns the role's name, with the prefix and suffix of Identity Center.
    pub fn role(&self) -> String {
        if self.identity == Identity::Sso {
            let mut role = ["AWSReservedSSO_", self.name, "_"].concat();
            push_hex(&mut role, id_of(self.name), 16);
            role
        } else {
            self.name.to_owned()
        }
    }

    /// Returns the caller's ARN in records and error messages.
    pub fn arn(&self, account: &str) -> String {
        match self.identity {
            Identity::User => ["arn:aws:iam::", account, ":user/", self.name].concat(),
            Identity::Root => ["arn:aws:iam::", account, ":root"].concat(),
            _ => {
                let role = self.role();
                [
                    "arn:aws:sts::",
                    account,
                    ":assumed-role/",
                    &role,
                    "/",
                    self.session,
                ]
                .concat()
            }
        }
    }

    /// Returns the ARN of the role itself.
    pub fn role_arn(&self, scope: &Scope) -> String {
        let path = match self.identity {
            // Identity Center has one region, wherever its users work.
            Identity::Sso => String::from("aws-reserved/sso.amazonaws.com/eu-west-1/"),
            Identity::Linked => ["aws-service-role/", self.address, "/"].concat(),
            _ => String::new(),
        };
        [
            "arn:aws:iam::",
            scope.account,
            ":role/",
            &path,
            &self.role(),
        ]
        .concat()
    }

    /// Writes `"userIdentity":{...}` for a session that began at `start`.
    pub fn write(&self, json: &mut Json, scope: &Scope, start: i64, newest: bool) {
        json.open("userIdentity");
        match self.identity {
            Identity::Service => {
                json.text("type", "AWSService");
                json.text("invokedBy", self.name);
            }
            Identity::Foreign => {
                json.text("type", "AWSAccount");
                json.parts("principalId", &[&self.principal(), ":", self.session]);
                json.text("accountId", self.name);
            }
            Identity::User => self.write_user(json, scope, start),
            Identity::Root => self.write_root(json, scope, start),
            _ => self.write_role(json, scope, start, newest),
        }
        json.close();
    }

    fn write_user(&self, json: &mut Json, scope: &Scope, start: i64) {
        json.text("type", "IAMUser");
        json.built("principalId", |out| {
            out.push_str("AIDA");
            push_base32(out, id_of(self.name), 17);
        });
        self.write_key(json, scope, start);
        json.text("userName", self.name);
    }

    fn write_root(&self, json: &mut Json, scope: &Scope, start: i64) {
        json.text("type", "Root");
        json.text("principalId", scope.account);
        self.write_key(json, scope, start);
        json.open("sessionContext");
        self.write_attributes(json, start);
        json.close();
    }

    fn write_role(&self, json: &mut Json, scope: &Scope, start: i64, newest: bool) {
        let principal = self.principal();
        json.text("type", "AssumedRole");
        json.parts("principalId", &[&principal, ":", self.session]);
        self.write_key(json, scope, start);
        json.open("sessionContext");
        json.open("sessionIssuer");
        json.text("type", "Role");
        json.text("principalId", &principal);
        json.text("arn", &self.role_arn(scope));
        json.text("accountId", scope.account);
        json.text("userName", &self.role());
        json.close();
        if self.identity == Identity::Web {
            let provider = ":oidc-provider/token.actions.githubusercontent.com";
            json.open("webIdFederationData");
            json.parts(
                "federatedProvider",
                &["arn:aws:iam::", scope.account, provider],
            );
            json.raw("attributes", "{}");
            json.close();
        } else if !newest {
            json.raw("webIdFederationData", "{}");
        }
        self.write_attributes(json, start);
        if self.identity == Identity::Ec2 {
            json.text("ec2RoleDelivery", "2.0");
        }
        if self.name == "OrganizationAuditRole" {
            json.text("sourceIdentity", "secops-scanner");
        }
        json.close();
        if self.identity == Identity::Linked {
            json.text("invokedBy", self.address);
        }
        if newest && self.identity == Identity::Lambda {
            json.open("inScopeOf");
            json.text("issuerType", "AWS::Lambda::Function");
            let function = scope.arn("lambda", &["function:", self.session]);
            json.text("credentialsIssuedTo", &function);
            json.close();
        }
    }

    /// Writes the caller's ARN, account and access key.
    fn write_key(&self, json: &mut Json, scope: &Scope, start: i64) {
        json.text("arn", &self.arn(scope.account));
        json.text("accountId", scope.account);
        json.built("accessKeyId", |out| {
            self.push_access_key(out, scope.account, start);
        });
    }

    fn write_attributes(&self, json: &mut Json, start: i64) {
        json.open("attributes");
        json.built("creationDate", |out| push_iso(out, start));
        let with_device = matches!(self.identity, Identity::Root);
        json.text(
            "mfaAuthenticated",
            if with_device { "true" } else { "false" },
        );
        json.close();
    }

    /// Returns the role's permanent ID, `AROA...`.
    pub fn principal(&self) -> String {
        let mut principal = String::from("AROA");
        push_base32(&mut principal, id_of(self.name), 17);
        principal
    }

    /// Appends the user agent of `command`, which is `service.operation` in the AWS CLI's spelling.
    pub fn push_agent(&self, out: &mut String, command: &str) {
        let parts: &[&str] = match self.agent {
            Agent::Console => &[CONSOLES[usize::from(self.session.len().is_multiple_of(2))]],
            Agent::Cli => &[CLI, command],
            Agent::Boto => &[BOTO],
            Agent::Terraform => &[TERRAFORM],
            Agent::Java => &[JAVA, command.split('.').next().unwrap_or(command)],
            Agent::Bot => &[BOT],
            Agent::Dashboard => &[DASHBOARD],
            Agent::Service => &[self.address],
        };
        parts.iter().for_each(|part| out.push_str(part));
    }
}

const CONSOLES: [&str; 2] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
];
const CLI: &str = "aws-cli/2.31.12 md/awscrt#0.27.6 ua/2.1 os/linux#6.8.0-64-generic md/arch#x86_64 lang/python#3.13.7 md/pyimpl#CPython m/Z,E,b,C cfg/retry-mode#standard md/installer#exe md/distrib#ubuntu.24 md/prompt#off md/command#";
const BOTO: &str = "Boto3/1.40.46 md/Botocore#1.40.46 ua/2.1 os/linux#5.10.240-264.978.amzn2.x86_64 md/arch#x86_64 lang/python#3.13.7 md/pyimpl#CPython exec-env/AWS_Lambda_python3.13 m/Z,D,b,e cfg/retry-mode#standard Botocore/1.40.46";
const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.13.3 (+https://www.terraform.io) terraform-provider-aws/6.14.1 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.39.1 ua/2.1 os/linux lang/go#1.24.6 md/GOOS#linux md/GOARCH#amd64 api/rds#1.107.0 m/C,E,g";
const JAVA: &str = "aws-sdk-java/2.34.8 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.150-174.273.amzn2023.x86_64 lang/java#21.0.8 md/OpenJDK_64-Bit_Server_VM#21.0.8+9-LTS md/vendor#Amazon.com_Inc. md/en_US m/D,N cfg/retry-mode#standard api/";
const BOT: &str =
    r#"ops-bot/2.4 (team=\"data-platform\"; tier=\"gold\") Boto3/1.40.46 Botocore/1.40.46"#;
const DASHBOARD: &str = r"internal-dashboard/3.1 (rds\u0026ec2 inventory; \u003cops@example.com\u003e) aws-sdk-go-v2/1.39.1";
