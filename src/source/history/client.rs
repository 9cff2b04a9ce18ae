//! The call of CloudTrail that answers with its event history.

use async_trait::async_trait;
use aws_sdk_cloudtrail::error::ProvideErrorMetadata;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{Event as SdkEvent, LookupAttribute, LookupAttributeKey};

use crate::source::aws::{Aws, Request, ServerClock};
use crate::source::timed::{Api, Ask, Event, Fault, Page};

/// The attributes of a lookup, as URLs and the service name them.
pub(super) const ATTRIBUTES: &[(&str, LookupAttributeKey)] = &[
    ("eventSource", LookupAttributeKey::EventSource),
    ("eventName", LookupAttributeKey::EventName),
    ("username", LookupAttributeKey::Username),
    ("resourceName", LookupAttributeKey::ResourceName),
    ("resourceType", LookupAttributeKey::ResourceType),
    ("eventId", LookupAttributeKey::EventId),
    ("accessKeyId", LookupAttributeKey::AccessKeyId),
    ("readOnly", LookupAttributeKey::ReadOnly),
];

/// The call through AWS's SDK; a log is a lookup, `key=value` or `*`.
pub(super) struct Client {
    client: aws_sdk_cloudtrail::Client,
    clock: ServerClock,
    region: String,
}

impl Client {
    pub(super) async fn connect(aws: &Aws, region: Option<&str>) -> Self {
        let shared = aws.api_config(region).await;
        let region = shared.region().map(|region| region.as_ref().to_owned());
        let clock = ServerClock::default();
        let config = aws_sdk_cloudtrail::config::Builder::from(&shared).interceptor(clock.clone());
        Self {
            client: aws_sdk_cloudtrail::Client::from_conf(config.build()),
            clock,
            region: region.unwrap_or_default(),
        }
    }

    /// The region that is asked.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    fn event(&self, event: SdkEvent) -> Option<Event> {
        let id = event.event_id.unwrap_or_default();
        Some(Event {
            stream: String::new(),
            origin: format!("cloudtrail://{}/{id}", self.region),
            millis: event.event_time?.to_millis().ok()?,
            stored_millis: None,
            text: event.cloud_trail_event?.into(),
            id,
        })
    }
}

#[async_trait]
impl Api for Client {
    async fn page(&self, log: &str, ask: &Ask<'_>) -> Result<Page, Fault> {
        let request = self
            .client
            .lookup_events()
            .set_lookup_attributes(attribute(log).map(|it| vec![it]))
            .start_time(DateTime::from_millis(ask.range.from))
            .set_end_time(ask.range.to.map(DateTime::from_millis))
            .set_next_token(ask.token.map(str::to_owned))
            .max_results(ask.most.unwrap_or(PAGE_EVENTS));
        let page = request.send().await.map_err(|error| match error.code() {
            Some("InvalidNextTokenException") if ask.token.is_some() => Fault::BadToken,
            _ => {
                let request = Request {
                    service: "CloudTrail",
                    action: "cloudtrail:LookupEvents",
                    resource: "the event history",
                };
                Fault::Other(request.failed(error))
            }
        })?;
        let events = page.events.unwrap_or_default().into_iter();
        Ok(Page {
            events: events.filter_map(|event| self.event(event)).collect(),
            next: page.next_token,
        })
    }

    fn now_millis(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }
}

fn attribute(log: &str) -> Option<LookupAttribute> {
    let (name, value) = log.split_once('=')?;
    let (_, key) = ATTRIBUTES.iter().find(|(known, _)| *known == name)?;
    let attribute = LookupAttribute::builder()
        .attribute_key(key.clone())
        .attribute_value(value);
    Some(attribute.build().expect("key and value are set"))
}

/// The most events of a page.
const PAGE_EVENTS: i32 = 50;
