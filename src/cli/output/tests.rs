//! Whole outputs, format by format.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    DurationMicrosecondArray, Float64Array, Int64Array, IntervalMonthDayNanoArray,
    LargeStringArray, ListArray, MapBuilder, NullArray, RecordBatch, StringArray, StringBuilder,
    StringViewArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array, UnionArray,
};
use arrow::array::{Int32Array, Int64Builder, RecordBatchOptions};
use arrow::datatypes::{
    DataType, Field, Int32Type, IntervalMonthDayNano, Schema, TimeUnit, UnionFields,
};
use arrow::ipc::reader::StreamReader;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};
use insta::assert_snapshot;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes so many bytes, then is gone.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const FORMATS: [Format; 8] = [
    Format::Table,
    Format::Csv,
    Format::Tsv,
    Format::Json,
    Format::Ndjson,
    Format::Markdown,
    Format::Parquet,
    Format::Arrow,
];

fn options(format: Format, width: Option<usize>) -> OutputOptions {
    OutputOptions {
        format,
        raw_csv: false,
        width,
        color: false,
        zone: None,
        expanded: Expanded::Auto,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect::<Vec<_>>();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn column_names(batch: &RecordBatch) -> Vec<String> {
    let schema = batch.schema();
    schema.fields().iter().map(|f| f.name().clone()).collect()
}

fn stream_of(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, DataFusionError>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

fn bytes(batch: &RecordBatch, options: &OutputOptions) -> Vec<u8> {
    let screen = Screen::default();
    let stream = stream_of(batch.schema(), futures::stream::iter([Ok(batch.clone())]));
    let out = Destination::new(screen.clone(), "screen");
    let rows = block_on(write(stream, &column_names(batch), options, out)).unwrap();
    assert_eq!(rows, batch.num_rows() as u64);
    screen.bytes()
}

fn text(batch: &RecordBatch, format: Format, width: Option<usize>) -> String {
    String::from_utf8(bytes(batch, &options(format, width))).unwrap()
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn calls() -> RecordBatch {
    let names = ["DescribeDBClusters", "DeleteDBCluster", "ModifyDBInstance"];
    let times = vec![
        Some(1_767_225_600_000_000),
        Some(1_767_225_600_250_000),
        None,
    ];
    let actors = vec![
        Some("arn:aws:sts::123456789012:assumed-role/Administrator/alice"),
        None,
        Some("bob"),
    ];
    batch(vec![
        (
            "eventtime",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
        ("eventname", strings(&names)),
        ("actor", Arc::new(StringViewArray::from(actors))),
        ("calls", Arc::new(Int64Array::from(vec![12, 1, -3]))),
    ])
}

fn wide(columns: usize) -> RecordBatch {
    let names: Vec<String> = (0..columns).map(|n| format!("column_{n}")).collect();
    let column = |name| (name, strings(&["some text of a certain length", "x"]));
    batch(names.iter().map(String::as_str).map(column).collect())
}

/// One column of every type that a query may yield; the second row is NULL throughout.
fn every_type() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None, Some(3)]),
        None,
    ]);
    let point = StructArray::try_new(
        vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("t", DataType::Timestamp(TimeUnit::Second, None), true),
        ]
        .into(),
        vec![
            Arc::new(StringArray::from(vec![Some("x\"y"), None])),
            Arc::new(TimestampSecondArray::from(vec![Some(0), None])),
        ],
        Some(vec![true, false].into()),
    )
    .unwrap();
    let mut map = MapBuilder::new(None, Int64Builder::new(), StringBuilder::new());
    map.keys().append_value(7);
    map.values().append_null();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let dictionary: DictionaryArray<Int32Type> = vec![Some("d"), None].into_iter().collect();
    let times = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![1, 0]),
        Arc::new(TimestampSecondArray::from(vec![None, Some(60)])),
    );
    batch(vec![
        ("null", Arc::new(NullArray::new(2))),
        (
            "boolean",
            Arc::new(BooleanArray::from(vec![Some(true), None])),
        ),
        ("int", Arc::new(Int32Array::from(vec![Some(-5), None]))),
        (
            "uint",
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
        ),
        ("float", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
        (
            "nan",
            Arc::new(Float64Array::from(vec![Some(f64::NAN), None])),
        ),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![Some(12345), None])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        ("date", Arc::new(Date32Array::from(vec![Some(1), None]))),
        (
            "time",
            Arc::new(Time64MicrosecondArray::from(vec![Some(1_500_000), None])),
        ),
        (
            "nanos",
            Arc::new(TimestampNanosecondArray::from(vec![
                Some(1_767_225_600_000_000_001),
                None,
            ])),
        ),
        (
            "zoned",
            Arc::new(TimestampSecondArray::from(vec![Some(0), None]).with_timezone("America/Lima")),
        ),
        (
            "beyond",
            Arc::new(TimestampSecondArray::from(vec![Some(i64::MAX), None])),
        ),
        (
            "interval",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                Some(IntervalMonthDayNano::new(1, 2, 0)),
                None,
            ])),
        ),
        (
            "duration",
            Arc::new(DurationMicrosecondArray::from(vec![Some(90_000_000), None])),
        ),
        (
            "binary",
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None])),
        ),
        (
            "large",
            Arc::new(LargeStringArray::from(vec![Some("l"), None])),
        ),
        (
            "view",
            Arc::new(StringViewArray::from(vec![Some("{\"a\":1}"), None])),
        ),
        ("dictionary", Arc::new(dictionary)),
        ("times", Arc::new(times)),
        ("list", Arc::new(list)),
        ("struct", Arc::new(point)),
        ("map", Arc::new(map.finish())),
    ])
}

#[test]
fn a_time_is_shown_in_the_zone_of_its_type() {
    // Before and after the clocks of Paris change; then beyond every calendar.
    let seconds = [1_774_684_800, 1_774_814_400, i64::MAX];
    let zoned = |zone: Option<&str>| -> Vec<String> {
        let array = TimestampSecondArray::from(seconds.to_vec());
        let array = match zone {
            Some(zone) => array.with_timezone(zone),
            None => array,
        };
        let batch = batch(vec![("t", Arc::new(array) as _)]);
        let texts = [
            Format::Table,
            Format::Csv,
            Format::Tsv,
            Format::Markdown,
            Format::Ndjson,
        ]
        .map(|format| text(&batch, format, None));
        let csv: Vec<String> = texts[1].lines().skip(1).map(str::to_owned).collect();
        for text in texts {
            assert!(
                csv.iter().all(|time| text.contains(time)),
                "{zone:?}: {text}"
            );
        }
        csv
    };
    let number = i64::MAX.to_string();
    let utc = ["2026-03-28T08:00:00Z", "2026-03-29T20:00:00Z", &number];
    assert_eq!(zoned(None), utc);
    assert_eq!(zoned(Some("UTC")), utc);
    assert_eq!(zoned(Some("+00:00")), utc);
    let paris = zoned(Some("Europe/Paris"));
    assert_eq!(
        paris[..2],
        ["2026-03-28T09:00:00+01:00", "2026-03-29T22:00:00+02:00"]
    );
    assert_eq!(paris[2], number);
    assert_eq!(zoned(Some("Europe/London"))[0], "2026-03-28T08:00:00+00:00");
    assert_eq!(zoned(Some("+05:30"))[0], "2026-03-28T13:30:00+05:30");
}

#[test]
fn a_table_in_a_pipe_is_not_cut_and_has_no_footer() {
    assert_snapshot!(text(&calls(), Format::Table, None), @r"
    eventtime                 eventname           actor                                                       calls
    ────────────────────────  ──────────────────  ──────────────────────────────────────────────────────────  ─────
    2026-01-01T00:00:00Z      DescribeDBClusters  arn:aws:sts::123456789012:assumed-role/Administrator/alice     12
    2026-01-01T00:00:00.250Z  DeleteDBCluster     NULL                                                            1
    NULL                      ModifyDBInstance    bob                                                            -3
    ");
}

#[test]
fn a_table_fits_the_terminal() {
    assert_snapshot!(text(&calls(), Format::Table, Some(80)), @r"
    eventtime                 eventname           actor                        calls
    ────────────────────────  ──────────────────  ───────────────────────────  ─────
    2026-01-01T00:00:00Z      DescribeDBClusters  arn:aws:sts::123456789012:…     12
    2026-01-01T00:00:00.250Z  DeleteDBCluster     NULL                             1
    NULL                      ModifyDBInstance    bob                             -3
    (3 rows)
    ");
    for terminal in [20, 40, 80, 200] {
        for batch in [calls(), wide(2), wide(5), wide(30), every_type()] {
            for line in text(&batch, Format::Table, Some(terminal)).lines() {
                assert!(screen::width(line) <= terminal, "{terminal}: {line}");
            }
        }
    }
}

#[test]
fn rows_that_would_be_stubs_are_lists() {
    assert_snapshot!(text(&calls(), Format::Table, Some(40)), @r"
    ─[ row 1 ]──────────────────────────────
    eventtime  2026-01-01T00:00:00Z
    eventname  DescribeDBClusters
    actor      arn:aws:sts::123456789012:ass
               umed-role/Administrator/alice
    calls      12
    ─[ row 2 ]──────────────────────────────
    eventtime  2026-01-01T00:00:00.250Z
    eventname  DeleteDBCluster
    actor      NULL
    calls      1
    ─[ row 3 ]──────────────────────────────
    eventtime  NULL
    eventname  ModifyDBInstance
    actor      bob
    calls      -3
    (3 rows)
    ");
    assert_snapshot!(text(&calls(), Format::Table, Some(20)), @r"
    ─[ row 1 ]──────────
    eventtime  2026-01-0
               1T00:00:0
               0Z
    eventname  DescribeD
               BClusters
    actor      arn:aws:s
               ts::12345
               6789012:a
               ssumed-ro
               le/Admini
               strator/a
               lice
    calls      12
    ─[ row 2 ]──────────
    eventtime  2026-01-0
               1T00:00:0
               0.250Z
    eventname  DeleteDBC
               luster
    actor      NULL
    calls      1
    ─[ row 3 ]──────────
    eventtime  NULL
    eventname  ModifyDBI
               nstance
    actor      bob
    calls      -3
    (3 rows)
    ");
}

#[test]
fn thirty_columns_are_a_list_on_any_terminal_and_a_table_in_a_pipe() {
    let list = text(&wide(30), Format::Table, Some(200));
    assert!(list.starts_with(
        "─[ row 1 ]──────────────────────────────\n\
         column_0   some text of a certain length\n"
    ));
    assert_eq!(list.lines().count(), 2 * 31 + 1);
    assert_eq!(text(&wide(30), Format::Table, None).lines().count(), 4);
}

#[test]
fn wide_characters_are_aligned_and_cut_between() {
    let batch = batch(vec![
        (
            "名前",
            strings(&["日本語のとても長いテキスト", "👨‍👩‍👧 family", "e\u{301}cole"]),
        ),
        ("n", Arc::new(Int64Array::from(vec![1, 22, 333]))),
    ]);
    assert_snapshot!(text(&batch, Format::Table, Some(20)), @r"
    名前               n
    ───────────────  ───
    日本語のとても…    1
    👨‍👩‍👧 family         22
    école            333
    (3 rows)
    ");
}

#[test]
fn a_terminal_never_gets_an_escape_sequence() {
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}x\u{7f}\ty\r\nz";
    let batch = batch(vec![(evil, strings(&[evil, "ok"]))]);
    assert_snapshot!(text(&batch, Format::Table, Some(80)), @r"
    \u{1b}[2J\u{9b}31m\u{202e}x\u{7f}\ty\r\nz
    ─────────────────────────────────────────
    \u{1b}[2J\u{9b}31m\u{202e}x\u{7f}\ty\r\nz
    ok
    (2 rows)
    ");
    for format in FORMATS.into_iter().filter(|format| !format.is_binary()) {
        let written = text(&batch, format, Some(80));
        let obeyed = |c: char| screen::needs_escape(c) && c != '\n';
        assert!(!written.contains(obeyed), "{format:?}: {written:?}");
    }
}

#[test]
fn text_in_a_pipe_is_as_it_is() {
    let batch = batch(vec![("a", strings(&["x\u{1b}[1m\ny\u{9b}"]))]);
    assert_eq!(
        text(&batch, Format::Csv, None),
        "a\n\"x\u{1b}[1m\ny\u{9b}\"\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&text(&batch, Format::Ndjson, None)).unwrap();
    assert_eq!(json["a"], "x\u{1b}[1m\ny\u{9b}");
}

#[test]
fn csv_quotes_and_disarms() {
    let batch = batch(vec![
        (
            "=title",
            strings(&["=cmd|' /C calc'!A0", "a,b", "say \"hi\""]),
        ),
        ("b", strings(&["-5", "@x", "+3.2e4"])),
        ("n", Arc::new(Int64Array::from(vec![-5, 0, 7]))),
    ]);
    assert_snapshot!(text(&batch, Format::Csv, None), @r#"
    '=title,b,n
    '=cmd|' /C calc'!A0,-5,-5
    "a,b",'@x,0
    "say ""hi""",+3.2e4,7
    "#);
    let raw = OutputOptions {
        raw_csv: true,
        ..options(Format::Csv, None)
    };
    assert_snapshot!(String::from_utf8(bytes(&batch, &raw)).unwrap(), @r#"
    =title,b,n
    =cmd|' /C calc'!A0,-5,-5
    "a,b",@x,0
    "say ""hi""",+3.2e4,7
    "#);
    assert_eq!(
        text(&batch, Format::Tsv, None),
        "'=title\tb\tn\n'=cmd|' /C calc'!A0\t-5\t-5\na,b\t'@x\t0\n\"say \"\"hi\"\"\"\t+3.2e4\t7\n"
    );
}

#[test]
fn markdown_aligns_numbers_and_escapes() {
    let batch = batch(vec![
        ("event_name", strings(&["a|b", "<b>\nx"])),
        ("n", Arc::new(Int64Array::from(vec![Some(1), None]))),
    ]);
    assert_snapshot!(text(&batch, Format::Markdown, None), @r"
    | event_name | n |
    | --- | ---: |
    | a\|b | 1 |
    | \<b><br>x |  |
    ");
}

#[test]
fn json_is_one_array_and_ndjson_an_object_a_line() {
    let batch = calls().project(&[0, 2, 3]).unwrap();
    assert_snapshot!(text(&batch, Format::Json, None), @r#"
    [
    {"eventtime":"2026-01-01T00:00:00Z","actor":"arn:aws:sts::123456789012:assumed-role/Administrator/alice","calls":12},
    {"eventtime":"2026-01-01T00:00:00.250Z","actor":null,"calls":1},
    {"eventtime":null,"actor":"bob","calls":-3}
    ]
    "#);
    assert_snapshot!(text(&batch, Format::Ndjson, None), @r#"
    {"eventtime":"2026-01-01T00:00:00Z","actor":"arn:aws:sts::123456789012:assumed-role/Administrator/alice","calls":12}
    {"eventtime":"2026-01-01T00:00:00.250Z","actor":null,"calls":1}
    {"eventtime":null,"actor":"bob","calls":-3}
    "#);
}

#[test]
fn every_type_has_a_text() {
    assert_snapshot!(text(&every_type(), Format::Table, Some(60)), @r#"
    ─[ row 1 ]──────────────────────────────
    null        NULL
    boolean     true
    int         -5
    uint        18446744073709551615
    float       1.5
    nan         NaN
    decimal     123.45
    date        1970-01-02
    time        00:00:01.500
    nanos       2026-01-01T00:00:00.000000001Z
    zoned       1969-12-31T19:00:00-05:00
    beyond      9223372036854775807
    interval    1 mons 2 days
    duration    PT90S
    binary      00ff
    large       l
    view        {"a":1}
    dictionary  d
    times       1970-01-01T00:01:00Z
    list        [1,null,3]
    struct      {"a":"x\"y","t":"1970-01-01T00:00:00Z"}
    map         {"7":null}
    ─[ row 2 ]──────────────────────────────
    null        NULL
    boolean     NULL
    int         NULL
    uint        NULL
    float       NULL
    nan         NULL
    decimal     NULL
    date        NULL
    time        NULL
    nanos       NULL
    zoned       NULL
    beyond      NULL
    interval    NULL
    duration    NULL
    binary      NULL
    large       NULL
    view        NULL
    dictionary  NULL
    times       NULL
    list        NULL
    struct      NULL
    map         NULL
    (2 rows)
    "#);
}

#[test]
fn every_type_has_a_json_form() {
    let lines = text(&every_type(), Format::Ndjson, None);
    let values: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_snapshot!(serde_json::to_string_pretty(&values[0]).unwrap(), @r#"
    {
      "beyond": "9223372036854775807",
      "binary": "00ff",
      "boolean": true,
      "date": "1970-01-02",
      "decimal": 123.45,
      "dictionary": "d",
      "duration": "PT90S",
      "float": 1.5,
      "int": -5,
      "interval": "1 mons 2 days",
      "large": "l",
      "list": [
        1,
        null,
        3
      ],
      "map": {
        "7": null
      },
      "nan": null,
      "nanos": "2026-01-01T00:00:00.000000001Z",
      "null": null,
      "struct": {
        "a": "x\"y",
        "t": "1970-01-01T00:00:00Z"
      },
      "time": "00:00:01.500",
      "times": "1970-01-01T00:01:00Z",
      "uint": 18446744073709551615,
      "view": "{\"a\":1}",
      "zoned": "1969-12-31T19:00:00-05:00"
    }
    "#);
    let nulls = values[1].as_object().unwrap();
    assert_eq!(nulls.len(), every_type().num_columns());
    assert!(nulls.values().all(serde_json::Value::is_null), "{nulls:?}");
}

#[test]
fn a_union_is_shown_as_arrow_shows_it_and_refused_by_parquet() {
    let fields = UnionFields::try_new([3], [Field::new("i", DataType::Int32, true)]).unwrap();
    let values: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let union = UnionArray::try_new(fields, vec![3].into(), None, vec![values]).unwrap();
    let batch = batch(vec![("u", Arc::new(union))]);
    assert_eq!(text(&batch, Format::Csv, None), "u\n{i=1}\n");
    assert_eq!(text(&batch, Format::Ndjson, None), "{\"u\":\"{i=1}\"}\n");
    let stream = stream_of(batch.schema(), futures::stream::empty());
    let out = Destination::new(io::sink(), "x.parquet");
    let error = block_on(write(
        stream,
        &column_names(&batch),
        &options(Format::Parquet, None),
        out,
    ));
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write to x.parquet: column u has the type Union("),
        "{error}"
    );
}

#[test]
fn an_empty_result_is_valid_in_each_format() {
    let empty = calls().slice(0, 0);
    assert_snapshot!(text(&empty, Format::Table, Some(80)), @r"
    eventtime  eventname  actor  calls
    ─────────  ─────────  ─────  ─────
    (0 rows)
    ");
    assert_eq!(text(&empty, Format::Table, Some(20)), "(0 rows)\n");
    assert_eq!(
        text(&empty, Format::Csv, None),
        "eventtime,eventname,actor,calls\n"
    );
    assert_eq!(
        text(&empty, Format::Tsv, None),
        "eventtime\teventname\tactor\tcalls\n"
    );
    assert_eq!(text(&empty, Format::Json, None), "[]\n");
    assert_eq!(text(&empty, Format::Ndjson, None), "");
    assert_eq!(
        text(&empty, Format::Markdown, None),
        "| eventtime | eventname | actor | calls |\n| --- | --- | --- | ---: |\n"
    );
    for read in [parquet_back(&empty), arrow_back(&empty)] {
        assert_eq!(read.num_rows(), 0);
        assert_eq!(column_names(&read), column_names(&empty));
    }
}

#[test]
fn rows_without_columns_do_no_harm() {
    let schema = Arc::new(Schema::empty());
    let rows = RecordBatchOptions::new().with_row_count(Some(2));
    let batch = RecordBatch::try_new_with_options(schema, vec![], &rows).unwrap();
    for format in FORMATS {
        bytes(&batch, &options(format, Some(80)));
    }
    assert_eq!(text(&batch, Format::Json, None), "[\n{},\n{}\n]\n");
}

#[test]
fn names_that_repeat_get_numbers_where_they_must_be_unique() {
    let one = |name| (name, Arc::new(Int64Array::from(vec![1])) as ArrayRef);
    let batch = batch(["a", "a", "a_2", "A", "a"].map(one).to_vec());
    assert_eq!(
        text(&batch, Format::Ndjson, None),
        "{\"a\":1,\"a_3\":1,\"a_2\":1,\"A\":1,\"a_4\":1}\n"
    );
    assert_eq!(text(&batch, Format::Csv, None), "a,a,a_2,A,a\n1,1,1,1,1\n");
    for read in [parquet_back(&batch), arrow_back(&batch)] {
        assert_eq!(column_names(&read), ["a", "a_3", "a_2", "A_4", "a_5"]);
    }
}

fn parquet_back(batch: &RecordBatch) -> RecordBatch {
    let bytes = bytes(batch, &options(Format::Parquet, None));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn arrow_back(batch: &RecordBatch) -> RecordBatch {
    let bytes = bytes(batch, &options(Format::Arrow, None));
    let reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

#[test]
fn parquet_and_arrow_can_be_read_back() {
    let given = every_type();
    // Text shows whether the values are the same, where the types are not.
    let shown = |batch: &RecordBatch| text(batch, Format::Csv, None);
    let read = arrow_back(&given);
    assert_eq!(shown(&read), shown(&given));
    assert_eq!(
        *read.schema().field_with_name("view").unwrap().data_type(),
        DataType::Utf8
    );
    let read = parquet_back(&given);
    assert_eq!(
        shown(&read),
        shown(&given).replace("00:00:00.000000001Z", "00:00:00Z")
    );
    assert_eq!(
        *read.schema().field_with_name("nanos").unwrap().data_type(),
        DataType::Timestamp(TimeUnit::Microsecond, None)
    );
    assert_eq!(
        read.column_by_name("list").unwrap(),
        given.column_by_name("list").unwrap()
    );
}

#[test]
fn parquet_row_groups_are_bounded_by_memory() {
    // Numbers that no encoding makes small.
    let noise = (0..4_000_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
    let noise: ArrayRef = Arc::new(UInt64Array::from_iter_values(noise));
    let batch = batch(vec![("a", Arc::clone(&noise)), ("b", noise)]);
    let bytes = bytes(&batch, &options(Format::Parquet, None));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let groups = reader.metadata().row_groups();
    let largest = groups
        .iter()
        .map(|group| group.compressed_size())
        .max()
        .unwrap();
    assert!(groups.len() > 1, "{} groups", groups.len());
    assert!(largest < 64 * 1024 * 1024, "{largest} bytes");
}

#[test]
fn a_closed_pipe_ends_the_query_without_an_error() {
    for format in FORMATS
        .into_iter()
        .filter(|format| *format != Format::Parquet)
    {
        let batch = calls();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let schema = batch.schema();
        let endless = futures::stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(batch.clone())
        });
        let out = Destination::new(Pipe(100_000), "pipe");
        let stream = stream_of(Arc::clone(&schema), endless);
        let names = column_names(&calls());
        let rows = block_on(write(stream, &names, &options(format, None), out)).unwrap();
        let batches = asked.load(Ordering::Relaxed) as u64;
        assert!(batches < 2_000, "{format:?}: {batches} batches");
        assert_eq!(rows, (batches - 1) * 3, "{format:?}");
    }
}

#[test]
fn a_pipe_that_is_closed_at_once_is_no_error_either() {
    for format in FORMATS {
        let stream = stream_of(calls().schema(), futures::stream::iter([Ok(calls())]));
        let out = Destination::new(Pipe(0), "pipe");
        block_on(write(
            stream,
            &column_names(&calls()),
            &options(format, Some(80)),
            out,
        ))
        .unwrap();
    }
}

#[test]
fn each_batch_is_visible_before_the_next_is_made() {
    for format in FORMATS
        .into_iter()
        .filter(|format| *format != Format::Parquet)
    {
        let screen = Screen::default();
        let (sender, receiver) = tokio::sync::mpsc::channel::<RecordBatch>(1);
        let batches = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|batch| (Ok(batch), receiver))
        });
        let stream = stream_of(calls().schema(), batches);
        let out = Destination::new(screen.clone(), "screen");
        let (names, options) = (column_names(&calls()), options(format, Some(200)));
        block_on(async {
            let writing = write(stream, &names, &options, out);
            let watching = async {
                for row in 0..3 {
                    sender.send(calls().slice(row, 1)).await.unwrap();
                    let call = ["DescribeDBClusters", "DeleteDBCluster", "ModifyDBInstance"][row];
                    let seen = || memchr::memmem::find(&screen.bytes(), call.as_bytes()).is_some();
                    for _ in 0..200 {
                        if seen() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    assert!(seen(), "{format:?}: {call}");
                }
                drop(sender);
            };
            let (rows, ()) = futures::join!(writing, watching);
            assert_eq!(rows.unwrap(), 3);
        });
    }
}

#[test]
fn rows_after_the_widths_are_set_are_cut_on_a_terminal_only() {
    let long = "x".repeat(60);
    let first: Vec<&str> = vec!["short"; 1_000];
    let one = batch(vec![("a", strings(&first)), ("b", strings(&first))]);
    let two = batch(vec![("a", strings(&[&long])), ("b", strings(&[&long]))]);
    let last_line = |width| {
        let screen = Screen::default();
        let batches = futures::stream::iter([Ok(one.clone()), Ok(two.clone())]);
        let stream = stream_of(one.schema(), batches);
        let out = Destination::new(screen.clone(), "screen");
        block_on(write(
            stream,
            &column_names(&one),
            &options(Format::Table, width),
            out,
        ))
        .unwrap();
        screen.text().lines().nth(1_002).unwrap().to_owned()
    };
    assert_eq!(last_line(Some(40)), format!("xxxxxx…  {}…", "x".repeat(30)));
    assert_eq!(last_line(None), format!("{long}  {long}"));
}

#[test]
fn what_came_before_an_error_is_shown() {
    let screen = Screen::default();
    let failed = DataFusionError::Execution("the disk is on fire".to_owned());
    let batches = futures::stream::iter([Ok(calls()), Err(failed)]);
    let stream = stream_of(calls().schema(), batches.chain(futures::stream::pending()));
    let out = Destination::new(screen.clone(), "screen");
    let options = options(Format::Table, None);
    let error = block_on(write(stream, &column_names(&calls()), &options, out)).unwrap_err();
    assert!(
        error.to_string().ends_with("the disk is on fire"),
        "{error}"
    );
    assert!(screen.text().contains("ModifyDBInstance"));
}

#[test]
fn a_query_that_fails_at_once_shows_no_table() {
    let screen = Screen::default();
    let failed = DataFusionError::Execution("no".to_owned());
    let stream = stream_of(calls().schema(), futures::stream::iter([Err(failed)]));
    let out = Destination::new(screen.clone(), "screen");
    let options = options(Format::Table, Some(80));
    block_on(write(stream, &column_names(&calls()), &options, out)).unwrap_err();
    assert_eq!(screen.text(), "");
}

#[test]
fn a_number_is_never_cut_even_if_it_comes_late() {
    let small: ArrayRef = Arc::new(Int64Array::from(vec![1; 1_000]));
    let large: ArrayRef = Arc::new(Int64Array::from(vec![1_234_567]));
    let one = batch(vec![("n", small), ("s", strings(&["x"; 1_000]))]);
    let two = batch(vec![("n", large), ("s", strings(&[&"y".repeat(40)]))]);
    let screen = Screen::default();
    let stream = stream_of(
        one.schema(),
        futures::stream::iter([Ok(one.clone()), Ok(two)]),
    );
    let out = Destination::new(screen.clone(), "screen");
    let options = options(Format::Table, Some(20));
    block_on(write(stream, &column_names(&one), &options, out)).unwrap();
    assert_eq!(
        screen.text().lines().nth(1_002).unwrap(),
        "1234567  yyyyyyyyyy…"
    );
}

#[test]
fn an_error_of_ours_within_the_query_stays_what_it_is() {
    let ours = DataFusionError::External(Box::new(Error::io("cannot read x"))).context("scan");
    let stream = stream_of(calls().schema(), futures::stream::iter([Err(ours)]));
    let out = Destination::new(io::sink(), "sink");
    let options = options(Format::Csv, None);
    let error = block_on(write(stream, &column_names(&calls()), &options, out)).unwrap_err();
    assert_eq!(error.to_string(), "cannot read x");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    for format in FORMATS {
        let path = Some(Path::new("/dev/full"));
        let (out, _) = destination(path, format, &TemporaryFiles::default()).unwrap();
        let stream = stream_of(calls().schema(), futures::stream::iter([Ok(calls())]));
        let written = block_on(write(
            stream,
            &column_names(&calls()),
            &options(format, None),
            out,
        ));
        let error = written.unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write to /dev/full: no space left on device"),
            "{format:?}: {error}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_created_is_named() {
    let path = Some(Path::new("/no/such/folder/x.csv"));
    let error = destination(path, Format::Csv, &TemporaryFiles::default())
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("cannot create /no/such/folder/x.csv: "),
        "{error}"
    );
}

#[test]
fn a_file_name_tells_the_format() {
    let format = |path: &str| Format::of_path(Path::new(path));
    assert_eq!(format("a/b.PARQUET"), Some(Format::Parquet));
    assert_eq!(format("x.jsonl"), Some(Format::Ndjson));
    assert_eq!(format("x.md"), Some(Format::Markdown));
    assert_eq!(format("x.gz"), None);
    assert_eq!(format("x"), None);
}

#[test]
fn the_writing_can_be_spawned() {
    fn is_send(_: impl Send) {}
    let (names, options) = (column_names(&calls()), options(Format::Parquet, None));
    let stream = stream_of(calls().schema(), futures::stream::empty());
    is_send(write(
        stream,
        &names,
        &options,
        Destination::new(io::sink(), "sink"),
    ));
}

#[test]
fn null_is_dimmed_where_that_is_welcome_and_takes_four_columns_all_the_same() {
    let options = OutputOptions {
        color: true,
        ..options(Format::Table, Some(30))
    };
    let plain = text(&calls(), Format::Table, Some(30));
    let dimmed = String::from_utf8(bytes(&calls(), &options)).unwrap();
    assert!(dimmed.contains("\u{1b}[2mNULL\u{1b}[22m"), "{dimmed}");
    assert_eq!(
        dimmed.replace("\u{1b}[2m", "").replace("\u{1b}[22m", ""),
        plain
    );
}

fn in_zone(zone: &str, format: Format) -> OutputOptions {
    OutputOptions {
        zone: Some(parse_zone(zone).unwrap()),
        ..options(format, None)
    }
}

/// Times in UTC, in no zone and in a zone that the query chose, and within nested values.
fn times() -> RecordBatch {
    let times = || TimestampSecondArray::from(vec![Some(1_774_684_800), None]);
    let dictionary = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![Some(0), None]),
        Arc::new(times().with_timezone("UTC")),
    );
    let field = Field::new("t", DataType::Timestamp(TimeUnit::Second, None), true);
    let nested = StructArray::try_new(vec![field].into(), vec![Arc::new(times())], None).unwrap();
    batch(vec![
        ("utc", Arc::new(times().with_timezone("+00:00"))),
        ("none", Arc::new(times())),
        ("lima", Arc::new(times().with_timezone("America/Lima"))),
        ("dictionary", Arc::new(dictionary)),
        ("nested", Arc::new(nested)),
    ])
}

#[test]
fn times_are_shown_in_the_chosen_zone_unless_the_query_chose_another() {
    let shown = |zone, format| String::from_utf8(bytes(&times(), &in_zone(zone, format))).unwrap();
    assert_snapshot!(shown("Europe/Paris", Format::Csv), @r#"
    utc,none,lima,dictionary,nested
    2026-03-28T09:00:00+01:00,2026-03-28T09:00:00+01:00,2026-03-28T03:00:00-05:00,2026-03-28T09:00:00+01:00,"{""t"":""2026-03-28T09:00:00+01:00""}"
    ,,,,"{""t"":null}"
    "#);
    for format in FORMATS.into_iter().filter(|format| !format.is_binary()) {
        let text = shown("Europe/Paris", format);
        let count = |time: &str| text.matches(time).count();
        assert_eq!(count("2026-03-28T09:00:00+01:00"), 4, "{text}");
        assert_eq!(count("2026-03-28T03:00:00-05:00"), 1, "{text}");
    }
    // UTC is written as it is without a choice.
    for format in FORMATS {
        let plain = bytes(&times(), &options(format, None));
        assert!(
            bytes(&times(), &in_zone("UTC", format)) == plain,
            "{format:?}"
        );
    }
}

#[test]
fn parquet_and_arrow_keep_their_times_in_any_zone() {
    for format in [Format::Parquet, Format::Arrow] {
        let plain = bytes(&calls(), &options(format, None));
        assert!(
            bytes(&calls(), &in_zone("Asia/Tokyo", format)) == plain,
            "{format:?}"
        );
    }
}

fn expanded(batch: &RecordBatch, expanded: Expanded, width: Option<usize>) -> String {
    let options = OutputOptions {
        expanded,
        ..options(Format::Table, width)
    };
    String::from_utf8(bytes(batch, &options)).unwrap()
}

#[test]
fn lists_can_be_asked_for_on_a_terminal_and_in_a_pipe() {
    let calls = calls().slice(1, 2);
    let piped = expanded(&calls, Expanded::On, None);
    assert_snapshot!(piped, @r"
    ─[ row 1 ]──────────────────────────────
    eventtime  2026-01-01T00:00:00.250Z
    eventname  DeleteDBCluster
    actor      NULL
    calls      1
    ─[ row 2 ]──────────────────────────────
    eventtime  NULL
    eventname  ModifyDBInstance
    actor      bob
    calls      -3
    ");
    assert_eq!(
        expanded(&calls, Expanded::On, Some(80)),
        format!("{piped}(2 rows)\n")
    );
    assert_eq!(
        expanded(&calls.slice(0, 0), Expanded::On, Some(80)),
        "(0 rows)\n"
    );
    let long = batch(vec![("a", strings(&[&"x".repeat(3_000)]))]);
    assert!(expanded(&long, Expanded::On, None).contains(&"x".repeat(3_000)));
}

#[test]
fn columns_can_be_as_wide_as_their_cells_on_a_terminal() {
    for batch in [calls(), wide(30)] {
        let rows = batch.num_rows();
        assert_eq!(
            expanded(&batch, Expanded::Off, Some(40)),
            format!("{}({rows} rows)\n", expanded(&batch, Expanded::Off, None))
        );
    }
    assert!(expanded(&wide(30), Expanded::Auto, Some(40)).starts_with("─[ row 1 ]"));
}

#[test]
fn rows_of_a_list_are_not_held() {
    let screen = Screen::default();
    let options = OutputOptions {
        expanded: Expanded::On,
        ..options(Format::Table, Some(80))
    };
    let out = Destination::new(screen.clone(), "screen");
    let schema = calls().schema();
    let mut writer = batch_writer(&schema, &column_names(&calls()), &options, out).unwrap();
    writer.write(&calls()).unwrap();
    assert!(screen.text().contains("ModifyDBInstance"));
}

#[test]
fn a_cut_ends_in_an_ellipsis_and_null_is_no_empty_text() {
    let texts = StringArray::from(vec![Some("x".repeat(900)), Some(String::new()), None]);
    let texts: ArrayRef = Arc::new(texts);
    let batch = batch(vec![("a", Arc::clone(&texts)), ("b", texts)]);
    assert_snapshot!(text(&batch, Format::Table, Some(24)), @r"
    a            b
    ───────────  ───────────
    xxxxxxxxxx…  xxxxxxxxxx…

    NULL         NULL
    (3 rows)
    ");
    let lists = expanded(&batch, Expanded::On, Some(24));
    assert_eq!(lists.matches('…').count(), 2, "{lists}");
    assert!(lists.contains("]──────────────\na\nb\n─[ row 3"), "{lists}");
    assert!(lists.ends_with("a  NULL\nb  NULL\n(3 rows)\n"), "{lists}");
}

#[test]
fn a_wide_json_object_in_a_list_is_indented_below_its_name() {
    let object = r#"{"dBInstanceIdentifier":"orders","tags":[{"key":"team","value":"\u001b payments and billing"}],"n":1.50}"#;
    let batch = batch(vec![
        ("requestparameters", strings(&[object])),
        ("short", strings(&[r#"{"a":1}"#])),
    ]);
    assert_snapshot!(expanded(&batch, Expanded::On, Some(44)), @r#"
    ─[ row 1 ]──────────────────────────────
    requestparameters
      {
        "dBInstanceIdentifier": "orders",
        "tags": [
          {
            "key": "team",
            "value": "\u001b payments and billi…
          }
        ],
        "n": 1.50
      }
    short              {"a":1}
    (1 row)
    "#);
    // In a pipe a value stays whole and on its line.
    assert!(expanded(&batch, Expanded::On, None).contains(object));
    let many_members = format!("{{{}\"z\":0}}", "\"name\":\"value\",".repeat(50));
    let many = strings(&[&many_members]);
    let batch = RecordBatch::try_from_iter([("o", many)]).unwrap();
    let text = expanded(&batch, Expanded::On, Some(80));
    assert_eq!(text.lines().count(), 2 + 20 + 1, "{text}");
    assert!(
        text.ends_with("    \"name\": \"value\",\n  …\n(1 row)\n"),
        "{text}"
    );
}
