//! The calls of CloudWatch Logs that reading needs.

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_cloudwatchlogs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_cloudwatchlogs::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::{
    FilteredLogEvent, LiveTailSessionLogEvent, LiveTailSessionUpdate, StartLiveTailResponseStream,
};
use tokio::sync::mpsc;

use super::partition;
use crate::error::{Error, Result};
use crate::source::aws::{Aws, Request, ServerClock};
use crate::source::timed::{self, Ask, Event, Fault, Page};

/// The calls of CloudWatch Logs that reading needs; a log is a log group.
#[async_trait]
pub(super) trait Api: timed::Api {
    /// Returns the log groups whose names begin with `prefix`.
    async fn groups(&self, prefix: &str) -> Result<Vec<Group>>;

    /// Begins a session of live tail, which ends after three hours at most.
    async fn tail(&self, arns: &[String]) -> Result<Session>;
}

/// A log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) arn: String,
}

/// The updates of a session of live tail; closed where it ends, after the error if there is one.
pub(super) type Session = mpsc::Receiver<Result<Update>>;

/// Events of live tail.
#[derive(Debug, Default)]
pub(super) struct Update {
    pub(super) events: Vec<Event>,
    /// Whether there were more, which are left out.
    pub(super) is_sampled: bool,
}

/// The calls through AWS's SDK.
pub(super) struct Client {
    client: aws_sdk_cloudwatchlogs::Client,
    clock: ServerClock,
}

impl Client {
    pub(super) async fn connect(aws: &Aws, region: Option<&str>) -> Self {
        let shared = aws.api_config(region).await;
        let clock = ServerClock::default();
        let config = aws_sdk_cloudwatchlogs::config::Builder::from(&shared)
            .interceptor(clock.clone())
            .interceptor(OwnHost);
        Self {
            client: aws_sdk_cloudwatchlogs::Client::from_conf(config.build()),
            clock,
        }
    }
}

fn failed<E>(action: &'static str, resource: &str, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let request = Request {
        service: SERVICE,
        action,
        resource,
    };
    request.failed(error)
}

#[async_trait]
impl timed::Api for Client {
    async fn page(&self, log: &str, ask: &Ask<'_>) -> Result<Page, Fault> {
        let is_arn = log.starts_with("arn:");
        let name = Some(log.to_owned());
        let request = self
            .client
            .filter_log_events()
            .set_log_group_name(name.clone().filter(|_| !is_arn))
            .set_log_group_identifier(name.filter(|_| is_arn))
            .start_time(ask.range.from)
            .set_end_time(ask.range.to)
            .set_next_token(ask.token.map(str::to_owned))
            .set_limit(ask.most);
        let page = request.send().await.map_err(|error| match error.code() {
            Some("InvalidParameterException") if ask.token.is_some() => Fault::BadToken,
            code => {
                let is_missing = code == Some("ResourceNotFoundException");
                let resource = format!("log group {log}");
                let error = failed("logs:FilterLogEvents", &resource, error);
                match is_missing {
                    true => Fault::NoSuchLog(error),
                    false => Fault::Other(error),
                }
            }
        })?;
        let events = page.events.unwrap_or_default().into_iter();
        Ok(Page {
            events: events.map(|it| event(log, it)).collect(),
            next: page.next_token,
        })
    }

    fn now_millis(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }
}

#[async_trait]
impl Api for Client {
    async fn groups(&self, prefix: &str) -> Result<Vec<Group>> {
        let mut groups = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .describe_log_groups()
                // An empty one is refused.
                .set_log_group_name_prefix(Some(prefix.to_owned()).filter(|it| !it.is_empty()))
                .set_next_token(token);
            let page = request.send().await.map_err(|error| {
                let resource = format!("log groups {prefix}*");
                failed("logs:DescribeLogGroups", &resource, error)
            })?;
            for group in page.log_groups.unwrap_or_default() {
                let arn = group.log_group_arn.or(group.arn).unwrap_or_default();
                groups.push(Group {
                    name: group.log_group_name.unwrap_or_default(),
                    arn: arn.trim_end_matches(":*").to_owned(),
                });
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(groups);
            }
        }
    }

    async fn tail(&self, arns: &[String]) -> Result<Session> {
        let request = self
            .client
            .start_live_tail()
            .set_log_group_identifiers(Some(arns.to_vec()));
        let resource = format!("log group {}", arns.join(", "));
        let answer = request
            .send()
            .await
            .map_err(|error| failed(LIVE_TAIL, &resource, error))?;
        let (hand, session) = mpsc::channel(1);
        let mut updates = answer.response_stream;
        // Ends with its receiver, or with the session.
        tokio::spawn(async move {
            loop {
                let update = tokio::select! {
                    () = hand.closed() => return,
                    update = updates.recv() => update,
                };
                let next = match update {
                    Ok(Some(StartLiveTailResponseStream::SessionUpdate(update))) => {
                        Ok(live(update))
                    }
                    Ok(Some(_)) => continue,
                    Ok(None) => return,
                    Err(error) => {
                        let request = Request {
                            service: SERVICE,
                            action: LIVE_TAIL,
                            resource: &resource,
                        };
                        Err(request.interrupted(&error))
                    }
                };
                let is_over = next.is_err();
                if hand.send(next).await.is_err() || is_over {
                    return;
                }
            }
        });
        Ok(session)
    }
}

fn event(group: &str, event: FilteredLogEvent) -> Event {
    let stream = event.log_stream_name.unwrap_or_default();
    let millis = event.timestamp.unwrap_or_default();
    let text = event.message.unwrap_or_default();
    // Some servers have no identifiers; then the text is one.
    let id = event.event_id.unwrap_or_else(|| format!("{millis} {text}"));
    let shown = id.split_once(' ').map_or(&*id, |(time, _)| time);
    Event {
        origin: format!("{}{stream}/{shown}", partition(group)),
        millis,
        stored_millis: event.ingestion_time,
        text: text.into(),
        stream,
        id,
    }
}

fn live(update: LiveTailSessionUpdate) -> Update {
    let events = update.session_results.unwrap_or_default().into_iter();
    Update {
        events: events.map(live_event).collect(),
        is_sampled: update.session_metadata.is_some_and(|it| it.sampled),
    }
}

fn live_event(event: LiveTailSessionLogEvent) -> Event {
    // ACCOUNT:GROUP
    let group = event.log_group_identifier.unwrap_or_default();
    let group = group.rsplit(':').next().unwrap_or_default();
    let stream = event.log_stream_name.unwrap_or_default();
    let millis = event.timestamp.unwrap_or_default();
    let text = event.message.unwrap_or_default();
    Event {
        origin: format!("{}{stream}/{millis}", partition(group)),
        id: format!("{group} {millis} {text}"),
        millis,
        stored_millis: event.ingestion_time,
        text: text.into(),
        stream,
    }
}

/// Live tail has a host of its own at AWS, `stream-logs.REGION...`; another server has one host for all.
#[derive(Debug)]
struct OwnHost;

impl Intercept for OwnHost {
    fn name(&self) -> &'static str {
        "OwnHost"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        if let Some(own) = without_prefix(uri) {
            context.request_mut().set_uri(own)?;
        }
        Ok(())
    }
}

/// Returns the URL without the prefix of its host, if it is none of AWS's.
fn without_prefix(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.strip_prefix("stream-")?;
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = host.split(':').next().unwrap_or(host);
    let is_aws = AWS_HOSTS.iter().any(|suffix| host.ends_with(suffix));
    (!is_aws).then(|| format!("{scheme}://{rest}"))
}

const SERVICE: &str = "CloudWatch Logs";
const LIVE_TAIL: &str = "logs:StartLiveTail";
const AWS_HOSTS: &[&str] = &[
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".amazonwebservices.com.cn",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_live_tail_is_left_to_aws() {
        let aws = "https://stream-logs.eu-west-1.amazonaws.com/";
        assert_eq!(without_prefix(aws), None);
        let own = "http://stream-127.0.0.1:5000/";
        assert_eq!(
            without_prefix(own).as_deref(),
            Some("http://127.0.0.1:5000/")
        );
        assert_eq!(without_prefix("http://127.0.0.1:5000/"), None);
    }
}
