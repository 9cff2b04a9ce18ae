//! Writes one record: the members common to all calls, around those of the call.

use super::actors::{ACTORS, Actor, Agent};
use super::clock::{DAY, END, push_iso, push_rds, push_stamp};
use super::json::{Json, id_of, push_hex, push_uuid};
use super::random::Random;
use super::world::{DATABASES, Database, SCOPES, Scope};

/// An API call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// The event source without `.amazonaws.com`.
    pub source: &'static str,
    pub name: &'static str,
    /// Command in the AWS CLI: `rds.describe-db-clusters`.
    pub command: &'static str,
    pub read_only: bool,
}

impl Call {
    /// Creates a call that changes nothing.
    pub const fn read(source: &'static str, name: &'static str, command: &'static str) -> Self {
        Self {
            source,
            name,
            command,
            read_only: true,
        }
    }

    /// Creates a call that changes something.
    pub const fn write(source: &'static str, name: &'static str, command: &'static str) -> Self {
        Self {
            read_only: false,
            ..Self::read(source, name, command)
        }
    }
}

/// The `eventType` of console sign-ins.
pub(super) const SIGN_IN: &str = "AwsConsoleSignIn";
/// The `eventType` of actions that a service takes on its own.
pub(super) const SERVICE_EVENT: &str = "AwsServiceEvent";

/// Placeholders for a secret in a record.
pub(super) const MASKS: [&str; 2] = ["HIDDEN_DUE_TO_SECURITY_REASONS", "****"];

/// A record under construction.
pub(super) struct Event<'a> {
    pub json: &'a mut Json,
    pub random: Random,
    /// Seconds since 1970 UTC.
    pub time: i64,
    /// Start of the caller's session, in seconds since 1970 UTC.
    pub session: i64,
    pub scope: &'static Scope,
    pub actor: &'static Actor,
    /// Value of `eventType`.
    pub kind: &'static str,
    /// Whether the event is a data event, not a management event.
    pub data: bool,
    /// Value of `resources` as JSON; empty if the record has none.
    pub resources: String,
    /// Members after `recipientAccountId` as JSON, with a comma before each.
    pub extra: String,
    version: &'static str,
    narrow: bool,
}

impl<'a> Event<'a> {
    /// Starts a record of `scope` at `time`; [`Event::act_as`] sets its caller.
    pub fn new(json: &'a mut Json, mut random: Random, scope: &'static Scope, time: i64) -> Self {
        let version = match random.below(10) {
            0 => "1.09",
            1..=3 => "1.10",
            _ => "1.11",
        };
        let narrow = random.one_in(6);
        Self {
            json,
            random,
            time,
            session: time,
            scope,
            actor: &ACTORS[0],
            kind: "AwsApiCall",
            data: false,
            resources: String::new(),
            extra: String::new(),
            version,
            narrow,
        }
    }

    /// Makes `actor` the caller, in the session that it has at this time.
    pub fn act_as(&mut self, actor: &'static Actor) {
        self.actor = actor;
        self.session = actor.session_start(self.time);
    }

    /// Picks a caller of this account that has one of `jobs`.
    pub fn pick_actor(&mut self, jobs: u8) {
        let account = self.scope.account;
        let fits = |actor: &Actor| {
            let here = actor.account.is_empty() || actor.account == account;
            if here && actor.jobs & jobs != 0 {
                actor.weight
            } else {
                0
            }
        };
        let actor = self.random.weighted(ACTORS, fits);
        self.act_as(actor);
    }

    /// Picks a database of this scope that `fits`, if there is one.
    pub fn database(&mut self, fits: impl Fn(&Database) -> bool) -> Option<&'static Database> {
        let own = |database: &Database| std::ptr::eq(&SCOPES[database.scope], self.scope);
        let count = DATABASES.iter().filter(|one| own(one) && fits(one)).count();
        if count == 0 {
            return None;
        }
        let nth = self.random.index(count);
        DATABASES
            .iter()
            .filter(|one| own(one) && fits(one))
            .nth(nth)
    }

    /// Picks a cluster of this scope, Neptune and DocumentDB included.
    pub fn cluster(&mut self) -> &'static Database {
        self.database(Database::is_cluster)
            .expect("every scope has a cluster")
    }

    /// Picks an Aurora cluster of this scope.
    pub fn aurora(&mut self) -> &'static Database {
        self.database(Database::is_aurora)
            .expect("every scope has an Aurora cluster")
    }

    /// Picks an instance of this scope: its database, and its number there.
    pub fn instance(&mut self) -> (&'static Database, u8) {
        let database = self.database(|_| true).expect("every scope has a database");
        let members = usize::from(database.members.max(1));
        let nth = u8::try_from(self.random.index(members)).expect("few members");
        (database, nth)
    }

    /// Returns an ARN of RDS in this scope.
    pub fn arn(&self, kind: &str, name: &str) -> String {
        self.scope.arn("rds", &[kind, ":", name])
    }

    /// Returns the name of a resource that lives for hours: `orders-prod-clone-03fa91`. An hour has
    /// few names, so that a resource that is created is also modified and deleted.
    pub fn temporary_name(&mut self, stem: &str, tag: &str) -> String {
        let mut name = [stem, "-", tag, "-"].concat();
        let hour = self.time.unsigned_abs() / 3600;
        let id = id_of(&name) ^ (hour * 8 + self.random.below(8));
        push_hex(&mut name, id, 6);
        name
    }

    /// Returns a name with a day and minute, like those of snapshots.
    pub fn timestamped_name(&self, stem: &str, time: i64) -> String {
        let mut name = [stem, "-"].concat();
        push_stamp(&mut name, time, true);
        name
    }

    /// Returns the creation time of the resource `name`, before the start of every sample.
    pub fn creation_time(&self, name: &str) -> i64 {
        let ago = id_of(name) % (700 * DAY.unsigned_abs());
        END - 370 * DAY - i64::try_from(ago).expect("two years")
    }

    /// Writes `"key":"Oct 3, 2026, 7:05:09 AM"`.
    pub fn rds_time(&mut self, key: &str, time: i64) {
        let narrow = self.narrow;
        self.json.built(key, |out| push_rds(out, time, narrow));
    }

    /// Returns a placeholder for a secret.
    pub fn mask(&mut self) -> &'static str {
        MASKS[usize::from(self.random.one_in(3))]
    }

    /// Sets the record's one resource, of this account.
    pub fn set_resource(&mut self, kind: &str, arn: &str) {
        let account = self.scope.account;
        self.resources = format!(r#"[{{"accountId":"{account}","type":"{kind}","ARN":"{arn}"}}]"#);
    }

    /// Writes `"requestParameters":{...}`.
    pub fn request(&mut self, members: impl FnOnce(&mut Self)) {
        self.object("requestParameters", members);
    }

    /// Writes request parameters of one text.
    pub fn request_text(&mut self, key: &str, value: &str) {
        self.request(|event| event.json.text(key, value));
    }

    /// Writes `"responseElements":{...}`.
    pub fn answer(&mut self, members: impl FnOnce(&mut Self)) {
        self.object("responseElements", members);
    }

    /// Writes `"key":{...}`.
    pub fn object(&mut self, key: &str, members: impl FnOnce(&mut Self)) {
        self.json.open(key);
        members(self);
        self.json.close();
    }

    /// Writes `"key":[{...}]`.
    pub fn list_of_one(&mut self, key: &str, members: impl FnOnce(&mut Self)) {
        self.json.open_list(key);
        self.json.open_item();
        members(self);
        self.json.close();
        self.json.close_list();
    }

    /// Writes the record: `body` writes from `errorCode` to `additionalEventData`.
    pub fn write(&mut self, call: &Call, body: impl FnOnce(&mut Self)) {
        self.json.open_item();
        self.head(call);
        body(self);
        self.tail(call);
        self.json.close();
    }

    /// Writes a call without a recorded response.
    pub fn write_read(&mut self, call: &Call, request: impl FnOnce(&mut Self)) {
        self.write(call, |event| {
            request(event);
            event.json.null("responseElements");
        });
    }

    /// Writes a call without a recorded response, with members of `additionalEventData`.
    pub fn write_read_with(
        &mut self,
        call: &Call,
        request: impl FnOnce(&mut Self),
        more: impl FnOnce(&mut Self),
    ) {
        self.write(call, |event| {
            request(event);
            event.json.null("responseElements");
            event.object("additionalEventData", more);
        });
    }

    /// Writes a denied call, which records neither request nor response.
    pub fn write_denied(&mut self, call: &Call, resource: &str) {
        self.write(call, |event| {
            event.json.text("errorCode", "AccessDenied");
            let caller = event.actor.arn(event.scope.account);
            let service = call.source;
            let why = "because no identity-based policy allows the";
            let action = call.name;
            let message = format!(
                "User: {caller} is not authorized to perform: {service}:{action} on resource: {resource} {why} {service}:{action} action"
            );
            event.json.text("errorMessage", &message);
            event.json.null("requestParameters");
            event.json.null("responseElements");
        });
    }

    fn head(&mut self, call: &Call) {
        let actor = self.actor;
        self.json.text("eventVersion", self.version);
        let newest = self.version == "1.11";
        actor.write(self.json, self.scope, self.session, newest);
        self.json.built("eventTime", |out| push_iso(out, self.time));
        self.json
            .parts("eventSource", &[call.source, ".amazonaws.com"]);
        self.json.text("eventName", call.name);
        self.json.text("awsRegion", self.scope.region);
        self.json.text("sourceIPAddress", actor.address);
        self.json
            .built("userAgent", |out| actor.push_agent(out, call.command));
    }

    fn tail(&mut self, call: &Call) {
        let ids = [(); 4].map(|()| self.random.draw());
        let json = &mut *self.json;
        if self.kind != SIGN_IN && self.kind != SERVICE_EVENT {
            json.built("requestID", |out| push_uuid(out, ids[0], ids[1]));
        }
        json.built("eventID", |out| push_uuid(out, ids[2], ids[3]));
        json.flag("readOnly", call.read_only);
        if !self.resources.is_empty() {
            json.raw("resources", &self.resources);
        }
        json.text("eventType", self.kind);
        if call.source == "logs" {
            json.text("apiVersion", "20140328");
        }
        json.flag("managementEvent", !self.data);
        json.text("recipientAccountId", self.scope.account);
        json.0.push_str(&self.extra);
        let category = if self.data { "Data" } else { "Management" };
        json.text("eventCategory", category);
        if !self.actor.is_aws() {
            self.tls(call.source);
            if self.actor.agent == Agent::Console && self.kind != SIGN_IN {
                self.json.text("sessionCredentialFromConsole", "true");
            }
        }
    }

    fn tls(&mut self, service: &str) {
        let endpoint = match service {
            "rdsdata" | "rdsdataapi" => "rds-data",
            other => other,
        };
        let quantum_safe = self.version == "1.11" && self.random.one_in(4);
        let region = self.scope.region;
        let json = &mut *self.json;
        json.open("tlsDetails");
        json.text("tlsVersion", "TLSv1.3");
        json.text("cipherSuite", "TLS_AES_128_GCM_SHA256");
        let host = [endpoint, ".", region, ".amazonaws.com"];
        let sign_in = [region, ".signin.aws.amazon.com"];
        let host = match service {
            // IAM has one global endpoint.
            "iam" => &["iam.amazonaws.com"][..],
            "signin" => &sign_in,
            _ => &host,
        };
        json.parts("clientProvidedHostHeader", host);
        if quantum_safe {
            json.text("keyExchange", "X25519MLKEM768");
        }
        json.close();
    }
}
