//! The resources of the sample: accounts, regions and databases, the same for every seed.

use super::json::{id_of, push_base32, push_base62, push_hex};

/// One account in one region, the subject of a trail file.
#[derive(Debug)]
pub(super) struct Scope {
    pub account: &'static str,
    pub region: &'static str,
    /// Relative number of its events.
    pub weight: u32,
    /// Route 53 zone of the endpoints.
    pub hosted_zone: &'static str,
    /// The customer's part of endpoint names.
    pub dns: &'static str,
    /// The letters of its availability zones.
    pub zones: [&'static str; 3],
}

/// Production.
pub(super) const PROD: &str = "111122223333";
/// Staging.
pub(super) const STAGING: &str = "444455556666";
/// Analytics.
pub(super) const ANALYTICS: &str = "222233334444";
/// The organisation's security team.
pub(super) const SECURITY: &str = "555566667777";

/// The scopes; the story happens in the first.
pub(super) static SCOPES: [Scope; 5] = [
    scope(PROD, "us-east-1", 42, "Z1SMPLUSEAST1A", "c1aurtrailux"),
    scope(PROD, "eu-west-1", 20, "Z1SMPLEUWEST1B", "c2aurtrailew"),
    scope(STAGING, "us-east-1", 16, "Z1SMPLUSEAST1A", "c3aurtrailst"),
    scope(
        ANALYTICS,
        "eu-central-1",
        14,
        "Z1SMPLEUCENT1C",
        "c4aurtrailan",
    ),
    scope(PROD, "ap-northeast-1", 8, "Z1SMPLAPNORT1D", "c5aurtrailap"),
];

const fn scope(
    account: &'static str,
    region: &'static str,
    weight: u32,
    hosted_zone: &'static str,
    dns: &'static str,
) -> Scope {
    Scope {
        account,
        region,
        weight,
        hosted_zone,
        dns,
        zones: ["a", "b", "c"],
    }
}

impl Scope {
    /// Returns `arn:aws:SERVICE:REGION:ACCOUNT:REST`.
    pub fn arn(&self, service: &str, rest: &[&str]) -> String {
        let mut arn = [
            "arn:aws:",
            service,
            ":",
            self.region,
            ":",
            self.account,
            ":",
        ]
        .concat();
        rest.iter().for_each(|part| arn.push_str(part));
        arn
    }

    /// Returns the ID of the `nth` resource of a kind: `sg-0f...`, `subnet-0a...`, `vpc-0c...`.
    pub fn vpc_id(&self, kind: &str, nth: u64) -> String {
        let mut id = [kind, "-0"].concat();
        let own = id_of(self.region) ^ id_of(self.account) ^ id_of(kind);
        push_hex(&mut id, own.wrapping_add(nth), 16);
        id
    }

    /// Returns the letter of the availability zone of the instance `name`.
    pub fn zone_of(&self, name: &str) -> &'static str {
        self.zones[(id_of(name) % 3) as usize]
    }

    /// Returns whether the scope has the proxy, the DSQL cluster and the global database's writer.
    pub fn is_home(&self) -> bool {
        std::ptr::eq(self, &SCOPES[0])
    }

    /// Returns the ARN of the key that encrypts the scope's databases.
    pub fn kms_key(&self) -> String {
        let own = id_of(self.region) ^ id_of(self.account);
        let mut id = String::from("key/");
        for (nth, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
            if nth > 0 {
                id.push('-');
            }
            push_hex(&mut id, own ^ ((nth as u64) << 32), length);
        }
        self.arn("kms", &[&id])
    }

    /// Returns the ARN of an IAM role.
    pub fn iam_role(&self, name: &str) -> String {
        ["arn:aws:iam::", self.account, ":role/", name].concat()
    }

    /// Returns an RDS endpoint of `name`; `kind`, such as `.cluster-`, precedes the customer's part.
    pub fn endpoint(&self, name: &str, kind: &str) -> String {
        [name, kind, self.dns, ".", self.region, ".rds.amazonaws.com"].concat()
    }

    /// Returns the ARN of a secret in Secrets Manager.
    pub fn secret(&self, name: &str) -> String {
        let mut id = ["secret:", name, "-"].concat();
        push_base62(&mut id, id_of(name), 6);
        self.arn("secretsmanager", &[&id])
    }
}

/// A cluster with its instances, or one instance of plain RDS.
#[derive(Debug)]
pub(super) struct Database {
    /// An index of [`SCOPES`].
    pub scope: usize,
    pub name: &'static str,
    pub engine: &'static str,
    pub version: &'static str,
    /// Engine version in the names of parameter groups.
    pub family: &'static str,
    pub class: &'static str,
    /// Number of instances of a cluster; 0 for plain RDS.
    pub members: u8,
    pub port: u16,
    /// Whether the Data API is enabled.
    pub data_api: bool,
}

const PG: [&str; 3] = ["aurora-postgresql", "16.6", "aurora-postgresql16"];
const MY: [&str; 3] = ["aurora-mysql", "8.0.mysql_aurora.3.08.1", "aurora-mysql8.0"];
const V1: [&str; 3] = ["aurora-mysql", "5.7.mysql_aurora.2.11.4", "aurora-mysql5.7"];
const NEPTUNE: [&str; 3] = ["neptune", "1.3.2.1", "neptune1.3"];
const DOCDB: [&str; 3] = ["docdb", "5.0.0", "docdb5.0"];
const POSTGRES: [&str; 3] = ["postgres", "17.2", "postgres17"];
const MYSQL: [&str; 3] = ["mysql", "8.0.40", "mysql8.0"];

/// The class of the only cluster that is Serverless v1.
pub(super) const SERVERLESS_V1: &str = "serverless";

/// Twelve Aurora clusters, a Neptune and a DocumentDB cluster, two plain RDS instances.
pub(super) static DATABASES: [Database; 16] = [
    database(0, "orders-prod", PG, "db.r7g.2xlarge", 3).with_data_api(),
    database(0, "payments-prod", PG, "db.serverless", 2).with_data_api(),
    database(0, "catalog-prod", MY, "db.r6g.xlarge", 2),
    database(0, "sessions-prod", MY, "db.r6g.large", 2),
    database(0, "fraud-graph", NEPTUNE, "db.r6g.large", 1),
    database(1, "billing-eu", PG, "db.r7g.xlarge", 2),
    database(1, "customers-eu", PG, "db.serverless", 2).with_data_api(),
    database(1, "content-docs", DOCDB, "db.r6g.large", 1),
    database(2, "orders-staging", PG, "db.t4g.large", 1),
    database(2, "catalog-staging", MY, "db.serverless", 1).with_data_api(),
    database(2, "forms-v1", V1, SERVERLESS_V1, 1),
    database(2, "intranet-wiki", MYSQL, "db.t4g.medium", 0),
    database(3, "warehouse-ingest", PG, "db.r7g.4xlarge", 2).with_data_api(),
    database(3, "reporting", MY, "db.r6g.xlarge", 2),
    database(3, "metabase", POSTGRES, "db.t4g.large", 0),
    database(4, "orders-apne", PG, "db.r7g.xlarge", 2),
];

const fn database(
    scope: usize,
    name: &'static str,
    [engine, version, family]: [&'static str; 3],
    class: &'static str,
    members: u8,
) -> Database {
    Database {
        scope,
        name,
        engine,
        version,
        family,
        class,
        members,
        port: match engine.as_bytes()[engine.len() - 1] {
            b'e' => 8182,
            b'b' => 27017,
            _ if matches!(engine.as_bytes(), b"mysql" | b"aurora-mysql") => 3306,
            _ => 5432,
        },
        data_api: false,
    }
}

impl Database {
    const fn with_data_api(mut self) -> Self {
        self.data_api = true;
        self
    }

    /// Returns whether the database is a cluster, not plain RDS.
    pub fn is_cluster(&self) -> bool {
        self.members > 0
    }

    /// Returns whether the engine is Aurora.
    pub fn is_aurora(&self) -> bool {
        self.engine.starts_with("aurora")
    }

    /// Returns whether the database has an activity stream, which the story stops.
    pub fn has_stream(&self) -> bool {
        matches!(self.name, "orders-prod" | "payments-prod")
    }

    /// Returns whether the engine speaks PostgreSQL's protocol.
    pub fn is_postgres(&self) -> bool {
        self.engine.ends_with("postgresql") || self.engine == "postgres"
    }

    /// Returns the name of the `nth` instance, from 0.
    pub fn instance(&self, nth: u8) -> String {
        if self.is_cluster() {
            format!("{}-{}", self.name, nth + 1)
        } else {
            self.name.to_owned()
        }
    }

    /// Returns the schema in the database.
    pub fn schema(&self) -> &'static str {
        self.name.split('-').next().unwrap_or(self.name)
    }

    /// Returns the master user.
    pub fn master(&self) -> &'static str {
        if self.is_postgres() {
            "postgres"
        } else {
            "admin"
        }
    }

    /// Returns the log that the database exports for audits.
    pub fn audit_log(&self) -> &'static str {
        if self.is_postgres() {
            "postgresql"
        } else {
            "audit"
        }
    }

    /// Returns the name of the database's own parameter group.
    pub fn parameter_group(&self) -> String {
        format!("{}-params", self.name)
    }
}

/// Returns `cluster-...` or `db-...`, the ID that survives renaming.
pub(super) fn resource_id(kind: &str, name: &str) -> String {
    let mut id = [kind, "-"].concat();
    push_base32(&mut id, id_of(name), 26);
    id
}

/// The clusters that a global database spans.
pub(super) const GLOBAL: &str = "orders-global";
/// The proxy of `orders-prod`.
pub(super) const PROXY: &str = "orders-proxy";
/// The DSQL cluster's identifier.
pub(super) const DSQL: &str = "ksample7auroratrail4dsql2q";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_an_aurora_cluster_and_there_are_twelve() {
        for scope in 0..SCOPES.len() {
            let own = |database: &&Database| database.scope == scope && database.is_aurora();
            assert!(DATABASES.iter().any(|database| own(&database)), "{scope}");
        }
        assert_eq!(DATABASES.iter().filter(|one| one.is_aurora()).count(), 12);
    }

    #[test]
    fn ports_fit_the_engines() {
        let port = |name| DATABASES.iter().find(|one| one.name == name).unwrap().port;
        let ports = [
            "orders-prod",
            "forms-v1",
            "fraud-graph",
            "content-docs",
            "metabase",
        ];
        assert_eq!(ports.map(port), [5432, 3306, 8182, 27017, 5432]);
    }
}
