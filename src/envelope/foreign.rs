//! Sound input that is not CloudTrail, by kind; each kind is counted under its label.

/// A kind of sound input without CloudTrail records in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForeignKind {
    /// JSON that no rule of `classify` recognises, outside wrappers.
    OtherJson,
    /// An entry of `LookupEvents` whose event is not JSON.
    LookupEntry,
    /// The `detail` of an EventBridge event that another service sent.
    EventBridgeEvent,
    /// The data of a Kinesis, Firehose or Lambda record.
    Payload,
    /// The message of an SNS notification.
    SnsMessage,
    /// The body of an SQS message.
    SqsMessage,
    /// The message of a CloudWatch log event.
    LogMessage,
    /// A line that a log tool printed after a time stamp.
    LogLine,
    /// A row of a Logs Insights query that did not select `@message`.
    InsightsRow,
    /// S3's notification that an object was made or deleted.
    S3Notification,
    /// S3's test of a new target of notifications.
    S3TestNotification,
    /// CloudTrail's notification of new log files.
    LogFileNotice,
    /// CloudTrail's list of a trail's log files with their hashes.
    DigestFile,
    /// CloudWatch Logs' test of a subscription.
    ControlMessage,
    /// A record of Aurora's database activity stream, encrypted.
    EncryptedDatabaseActivity,
    /// The same, decrypted.
    DatabaseActivity,
    /// Rows of a CloudTrail Lake query, or their signature.
    LakeQueryResult,
    /// A record in Security Lake's schema.
    SecurityLakeRecord,
    /// SNS's message to a new subscriber.
    SubscriptionConfirmation,
    /// CloudTrail's message to a new topic.
    ValidationNotice,
    /// CloudWatch Logs' test of a new target of exports.
    ExportTest,
    /// A README or licence.
    TextBeside,
    /// A zip archive.
    Zip,
    /// An xz archive.
    Xz,
    /// Compression inside compression, deeper than the limit.
    CompressedTooOften,
    /// A table of query results as CSV.
    QueryResultCsv,
}

impl ForeignKind {
    /// Returns whether the kind was recognised, and is not just what a wrapper counts unknown content as.
    pub(super) fn is_recognised(self) -> bool {
        !matches!(
            self,
            Self::OtherJson
                | Self::LookupEntry
                | Self::EventBridgeEvent
                | Self::Payload
                | Self::SnsMessage
                | Self::SqsMessage
                | Self::LogMessage
                | Self::LogLine
                | Self::InsightsRow
        )
    }

    /// Returns the name under which users see the kind counted.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::OtherJson => "other JSON",
            Self::LookupEntry => "lookup entry without an event",
            Self::EventBridgeEvent => "EventBridge event of another kind",
            Self::Payload => "payload that is not CloudTrail",
            Self::SnsMessage => "SNS message that is not CloudTrail",
            Self::SqsMessage => "SQS message that is not CloudTrail",
            Self::LogMessage => "log message that is not CloudTrail",
            Self::LogLine => "log line that is not CloudTrail",
            Self::InsightsRow => "query result without @message",
            Self::S3Notification => "S3 notification",
            Self::S3TestNotification => "S3 test notification",
            Self::LogFileNotice => "SNS notice of new log files",
            Self::DigestFile => "digest file",
            Self::ControlMessage => "CloudWatch control message",
            Self::EncryptedDatabaseActivity => {
                "database activity stream record (encrypted, not CloudTrail)"
            }
            Self::DatabaseActivity => "database activity stream record (not CloudTrail)",
            Self::LakeQueryResult => {
                "CloudTrail Lake query result (query the original events instead)"
            }
            Self::SecurityLakeRecord => "Security Lake record (OCSF, not read yet)",
            Self::SubscriptionConfirmation => "SNS subscription confirmation",
            Self::ValidationNotice => "trail validation notice",
            Self::ExportTest => "test file of a CloudWatch Logs export",
            Self::TextBeside => "text beside the log files",
            Self::Zip => "zip archive (unpack it first)",
            Self::Xz => "xz archive (unpack it first)",
            Self::CompressedTooOften => "compressed more than four times over",
            Self::QueryResultCsv => {
                "CSV of query results (lossy: query the original events instead)"
            }
        }
    }
}
