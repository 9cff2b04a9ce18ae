//! Reading of data files: the facts about one, kept in memory, and the events of a row group.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::execution::cache::lru_queue::LruQueue;
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{
    AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use parquet::bloom_filter::Sbbf;
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::types::{SchemaDescriptor, Type};

use super::{EVENT_ID, EVENT_TIME, FINGERPRINT};
use crate::lake::LakeFile;
use crate::lake::data_file::FileReader;

/// The smallest and the largest time of some events, microseconds since 1970 UTC.
pub(super) type TimeRange = (i64, i64);

/// Memory for footers and bloom filters, bytes.
const FACTS_BYTES: usize = 32 << 20;

/// Rows of a file that are compared at a time.
const BATCH_ROWS: usize = 8192;

/// Reads the files of a lake and keeps footers and bloom filters, the least recently used of which go
/// first. Data files never change, so what is kept holds as long as there is a file of this path.
pub(super) struct FileFacts {
    store: Arc<dyn ObjectStore>,
    kept: Mutex<Kept>,
}

struct Kept {
    facts: LruQueue<FactKey, Fact>,
    bytes: usize,
}

/// A file's path, and the row group for its bloom filter or `None` for the footer.
type FactKey = (String, Option<usize>);

#[derive(Clone)]
enum Fact {
    Footer(Option<Arc<Footer>>),
    BloomFilter(Option<Arc<Sbbf>>),
}

impl FileFacts {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        let facts = LruQueue::new();
        let kept = Mutex::new(Kept { facts, bytes: 0 });
        Self { store, kept }
    }

    /// Returns the footer of a file; `None` if the file has no column to tell events apart.
    pub(super) async fn footer(&self, file: &LakeFile) -> Result<Option<Arc<Footer>>> {
        let key = (file.path.clone(), None);
        if let Some(Fact::Footer(footer)) = self.get(&key) {
            return Ok(footer);
        }
        let metadata = self.reader(file)?.get_metadata(None).await?;
        let footer = Footer::new(&metadata)?.map(Arc::new);
        self.put(key, Fact::Footer(footer.clone()));
        Ok(footer)
    }

    /// Returns the bloom filter of a row group's event IDs, if it has one.
    pub(super) async fn bloom_filter(
        &self,
        file: &LakeFile,
        footer: &Footer,
        group: usize,
    ) -> Result<Option<Arc<Sbbf>>> {
        let key = (file.path.clone(), Some(group));
        if let Some(Fact::BloomFilter(filter)) = self.get(&key) {
            return Ok(filter);
        }
        let mut builder = self.builder(file, footer)?;
        let filter = builder.get_row_group_column_bloom_filter(group, EVENT_ID_LEAF);
        // One without a block has nothing to ask.
        let filter = filter.await?.filter(|filter| filter.num_blocks() > 0);
        let filter = filter.map(Arc::new);
        self.put(key, Fact::BloomFilter(filter.clone()));
        Ok(filter)
    }

    /// Returns the event IDs and fingerprints of a row group, in batches.
    pub(super) fn events(
        &self,
        file: &LakeFile,
        footer: &Footer,
        group: usize,
    ) -> Result<ParquetRecordBatchStream<FileReader>> {
        let builder = self.builder(file, footer)?;
        let leaves = [EVENT_ID_LEAF, FINGERPRINT_LEAF];
        let columns = ProjectionMask::leaves(builder.parquet_schema(), leaves);
        builder
            .with_projection(columns)
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
    }

    fn builder(
        &self,
        file: &LakeFile,
        footer: &Footer,
    ) -> Result<ParquetRecordBatchStreamBuilder<FileReader>> {
        let (reader, metadata) = (self.reader(file)?, footer.metadata.clone());
        Ok(ParquetRecordBatchStreamBuilder::new_with_metadata(
            reader, metadata,
        ))
    }

    fn reader(&self, file: &LakeFile) -> Result<FileReader> {
        FileReader::new(Arc::clone(&self.store), file)
    }

    fn get(&self, key: &FactKey) -> Option<Fact> {
        self.kept().facts.get(key).cloned()
    }

    fn put(&self, key: FactKey, fact: Fact) {
        let mut kept = self.kept();
        if let Some(before) = kept.facts.remove(&key) {
            kept.bytes -= size(&key, &before);
        }
        kept.bytes += size(&key, &fact);
        kept.facts.put(key, fact);
        while kept.bytes > FACTS_BYTES {
            let Some((key, fact)) = kept.facts.pop() else {
                break;
            };
            kept.bytes -= size(&key, &fact);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for FileFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileFacts").finish_non_exhaustive()
    }
}

/// Returns the memory of a fact in the queue, bytes.
fn size(key: &FactKey, fact: &Fact) -> usize {
    /// Memory of an entry beside its key and fact.
    const ENTRY_BYTES: usize = 200;
    let fact = match fact {
        Fact::Footer(footer) => footer.as_ref().map_or(0, |it| it.memory_bytes),
        Fact::BloomFilter(filter) => filter.as_ref().map_or(0, |it| it.num_blocks() * 32),
    };
    // The path is in the map and in the list.
    ENTRY_BYTES + 2 * key.0.len() + fact
}

/// The footer of a file, cut down to three of its columns: others have many more.
pub(super) struct Footer {
    metadata: ArrowReaderMetadata,
    /// The way from a time of the column to microseconds; `None` if there is no column of times.
    unit_micros: Option<fn(i64) -> TimeRange>,
    memory_bytes: usize,
}

/// Columns of a [`Footer`]; the last, of times, may be missing.
const EVENT_ID_LEAF: usize = 0;
const FINGERPRINT_LEAF: usize = 1;
const EVENT_TIME_LEAF: usize = 2;

impl Footer {
    /// Cuts the footer down; `None` if it has no event IDs or fingerprints of their types.
    fn new(whole: &ParquetMetaData) -> Result<Option<Self>> {
        let schema = whole.file_metadata().schema_descr();
        let leaf = |name: &str| {
            let columns = schema.columns().iter();
            let mut paths = columns.map(|column| column.path().parts());
            paths.position(|path| path == [name])
        };
        let (Some(id), Some(fingerprint)) = (leaf(EVENT_ID), leaf(FINGERPRINT)) else {
            return Ok(None);
        };
        let leaves: Vec<usize> = [id, fingerprint]
            .into_iter()
            .chain(leaf(EVENT_TIME))
            .collect();
        let narrow = Arc::new(narrow(whole, &leaves)?);
        let memory_bytes = narrow.memory_size();
        let metadata = ArrowReaderMetadata::try_new(narrow, ArrowReaderOptions::new())?;
        let column_type = |leaf: usize| {
            metadata
                .schema()
                .fields()
                .get(leaf)
                .map(|it| it.data_type())
        };
        if column_type(EVENT_ID_LEAF) != Some(&DataType::Utf8)
            || column_type(FINGERPRINT_LEAF) != Some(&DataType::Int64)
        {
            return Ok(None);
        }
        let unit_micros = column_type(EVENT_TIME_LEAF).and_then(unit_micros);
        Ok(Some(Self {
            metadata,
            unit_micros,
            memory_bytes,
        }))
    }

    /// Returns the number of row groups.
    pub(super) fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Returns the times of the events in a row group; `None` if they are not known.
    pub(super) fn times(&self, group: usize) -> Option<TimeRange> {
        let micros = self.unit_micros?;
        let group = self.metadata.metadata().row_group(group);
        match group.column(EVENT_TIME_LEAF).statistics()? {
            Statistics::Int64(times) => {
                let (least, most) = (*times.min_opt()?, *times.max_opt()?);
                Some((micros(least).0, micros(most).1))
            }
            _ => None,
        }
    }
}

/// Returns the way from a time in the unit of the column to the first and the last microsecond that it
/// may stand for.
fn unit_micros(data_type: &DataType) -> Option<fn(i64) -> TimeRange> {
    Some(match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => |time| (time, time),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => |time| {
            let micros = time.div_euclid(1000);
            (micros, micros)
        },
        DataType::Timestamp(TimeUnit::Millisecond, _) => |time| {
            let micros = time.saturating_mul(1000);
            (micros, micros.saturating_add(999))
        },
        _ => return None,
    })
}

/// Returns the metadata of a file that has only these columns.
fn narrow(whole: &ParquetMetaData, leaves: &[usize]) -> Result<ParquetMetaData> {
    let file = whole.file_metadata();
    let columns = leaves.iter().map(|&leaf| {
        let column = file.schema_descr().column(leaf);
        column.self_type_ptr()
    });
    let root = Type::group_type_builder(file.schema_descr().root_schema().name())
        .with_fields(columns.collect())
        .build()?;
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let groups = whole.row_groups().iter().map(|group| {
        let columns = leaves.iter().map(|&leaf| group.column(leaf).clone());
        RowGroupMetaData::builder(Arc::clone(&schema))
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_column_metadata(columns.collect())
            .build()
    });
    let groups = groups.collect::<Result<Vec<RowGroupMetaData>>>()?;
    let created_by = file.created_by().map(str::to_owned);
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        created_by,
        None,
        Arc::clone(&schema),
        None,
    );
    Ok(ParquetMetaData::new(file, groups))
}
