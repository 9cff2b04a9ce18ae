//! Failed calls: denied, throttled, or for a resource that does not exist or is in the wrong state.

use super::actors::{DENIED, READS, WRITES};
use super::event::{Call, Event};
use super::{reads, writes};

/// Writes a failed call.
pub(super) fn write(event: &mut Event<'_>) {
    match event.random.below(10) {
        0..4 => denied(event),
        4 | 5 => throttled(event),
        6 | 7 => missing(event),
        _ => wrong_state(event),
    }
}

fn denied(event: &mut Event<'_>) {
    event.pick_actor(DENIED);
    // Callers without permission to change anything seldom try.
    let tries = event.actor.jobs & WRITES != 0 || event.random.one_in(6);
    let call = if tries {
        writes::any(event)
    } else {
        reads::any(event)
    };
    let resource = if call.name.contains("Cluster") {
        let name = event.cluster().name;
        event.arn("cluster", name)
    } else {
        let (database, nth) = event.instance();
        event.arn("db", &database.instance(nth))
    };
    event.write_denied(call, &resource);
}

fn throttled(event: &mut Event<'_>) {
    event.pick_actor(READS);
    let call = reads::any(event);
    event.write(call, |event| {
        event.json.text("errorCode", "ThrottlingException");
        event.json.text("errorMessage", "Rate exceeded");
        event.json.null("requestParameters");
        event.json.null("responseElements");
    });
}

fn failed(event: &mut Event<'_>, call: &Call, code: &str, message: &str, target: [&str; 2]) {
    event.write(call, |event| {
        event.json.text("errorCode", code);
        event.json.text("errorMessage", message);
        event.request_text(target[0], target[1]);
        event.json.null("responseElements");
    });
}

fn missing(event: &mut Event<'_>) {
    event.pick_actor(READS);
    let database = event.cluster();
    if event.random.one_in(2) {
        let name = event.temporary_name(database.name, "reader");
        let call = Call::read("rds", "DescribeDBInstances", "rds.describe-db-instances");
        let message = format!("DBInstance {name} not found.");
        let target = ["dBInstanceIdentifier", &name];
        failed(event, &call, "DBInstanceNotFound", &message, target);
    } else {
        let name = event.temporary_name(database.name, "clone");
        let call = Call::read("rds", "DescribeDBClusters", "rds.describe-db-clusters");
        let message = format!("DBCluster {name} not found.");
        let target = ["dBClusterIdentifier", &name];
        failed(event, &call, "DBClusterNotFoundFault", &message, target);
    }
}

fn wrong_state(event: &mut Event<'_>) {
    event.pick_actor(WRITES);
    let database = event.cluster();
    let name = database.name;
    if event.random.one_in(3) {
        let call = Call::write("rds", "RebootDBInstance", "rds.reboot-db-instance");
        let instance = database.instance(0);
        let message = format!("Instance {instance} is not in available state.");
        let target = ["dBInstanceIdentifier", &instance];
        failed(event, &call, "InvalidDBInstanceState", &message, target);
    } else {
        let call = Call::write("rds", "StartDBCluster", "rds.start-db-cluster");
        let message =
            format!(r#"DbCluster \"{name}\" is in available state and cannot be started"#);
        let target = ["dBClusterIdentifier", name];
        failed(event, &call, "InvalidDBClusterStateFault", &message, target);
    }
}
