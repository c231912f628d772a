//! Which lake partition a row belongs to.
//!
//! ```text
//! values of the partition columns ─► Router ─► partition id (0, 1, 2, …)
//!                                        └──► Refusal ─► dead letter
//! ```
//!
//! Owns: the lake partitions seen since it was made, numbered in the order of their first row.
//! Does not own: the rows.

use hashbrown::HashMap;

use crate::decode::Scalar;
use crate::table::hive;
use crate::table::spec::{PartitionField, Spec, Transform};
use crate::table::{Kind, Schema};

use super::calendar::{Bucket, Calendar};

/// The id of a row that belongs to no lake partition and is left out of the split.
pub const SKIP: u32 = u32::MAX;

/// Bytes that all components of a partition's path may have together. An S3 key has 1,024, of
/// which a table's prefix and the file's name take their part.
const MAX_PATH_BYTES: usize = 760;

/// A folder of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakePartition {
    /// Path below `data/`, escaped, such as `date=2026-01-31/region=Île-de-France`; empty for a
    /// table without a partition spec.
    pub path: String,
    /// Names and values as they are, outermost first; the empty string counts as null.
    pub values: Vec<(String, Option<String>)>,
}

/// Why a row can lie in no folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Index of the column whose value is to blame.
    pub column: usize,
    /// What was expected and what was found; never the value itself.
    pub detail: String,
}

/// Numbers lake partitions by the values of rows. For one cut: dates go by, and partitions that
/// were numbered once are not forgotten.
#[derive(Debug)]
pub struct Router {
    fields: Vec<Field>,
    /// From (node above, number of the component) to the node below; the root is node 0. Nodes of
    /// the last level are partition ids.
    nodes: HashMap<(u32, u32), u32>,
    inner_nodes: u32,
    partitions: Vec<LakePartition>,
}

/// One component of the path: its distinct values, numbered.
#[derive(Debug)]
struct Field {
    name: String,
    column: usize,
    values: Values,
    /// Values by number; `None` is null and the empty string.
    texts: Vec<Option<String>>,
    null: Option<u32>,
}

#[derive(Debug)]
enum Values {
    Text {
        numbers: HashMap<Box<[u8]>, u32>,
        /// The number found last: rows of one place often follow each other.
        last: u32,
    },
    Integer {
        is_boolean: bool,
        numbers: HashMap<i64, u32>,
    },
    Clock {
        calendar: Box<Calendar>,
        numbers: HashMap<Bucket, u32>,
        last: Option<(Bucket, u32)>,
    },
}

impl Router {
    /// A router that has seen no row.
    pub fn new(spec: &Spec, schema: &Schema) -> Self {
        let field = |field: &PartitionField| {
            let kind = &schema.columns[field.column].kind;
            Field {
                name: field.name.clone(),
                column: field.column,
                values: Values::new(kind, field.transform, spec),
                texts: Vec::new(),
                null: None,
            }
        };
        Self {
            fields: spec.fields.iter().map(field).collect(),
            nodes: HashMap::new(),
            inner_nodes: 0,
            partitions: Vec::new(),
        }
    }

    /// The lake partitions seen, by id.
    pub fn partitions(&self) -> &[LakePartition] {
        &self.partitions
    }

    /// The partition id of a row whose columns have these values.
    ///
    /// # Errors
    /// When a value cannot be a folder's name: a year outside 1 to 9999, or text too long.
    pub fn route<'a>(&mut self, value_of: impl Fn(usize) -> Scalar<'a>) -> Result<u32, Refusal> {
        let depth = self.fields.len();
        let mut node = 0;
        for level in 0..depth {
            let field = &mut self.fields[level];
            let number = field.number(value_of(field.column))?;
            node = match self.nodes.get(&(node, number)) {
                Some(&below) => below,
                None if level + 1 < depth => {
                    self.inner_nodes += 1;
                    self.nodes.insert((node, number), self.inner_nodes);
                    self.inner_nodes
                }
                None => {
                    let id = self.add(&value_of)?;
                    self.nodes.insert((node, number), id);
                    id
                }
            };
        }
        if depth == 0 && self.partitions.is_empty() {
            return self.add(&value_of);
        }
        Ok(node)
    }

    #[cold]
    fn add<'a>(&mut self, value_of: &impl Fn(usize) -> Scalar<'a>) -> Result<u32, Refusal> {
        let mut path = String::new();
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &mut self.fields {
            let number = field.number(value_of(field.column))?;
            let value = field.texts[number as usize].clone();
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&hive::component(&field.name, value.as_deref()));
            if path.len() > MAX_PATH_BYTES {
                return Err(too_long(field.column, path.len(), MAX_PATH_BYTES, "path"));
            }
            values.push((field.name.clone(), value));
        }
        let id = u32::try_from(self.partitions.len())
            .ok()
            .filter(|&id| id != SKIP)
            .expect("memory ends before four thousand million partitions");
        self.partitions.push(LakePartition { path, values });
        Ok(id)
    }
}

impl Field {
    /// The number of a value among the component's values.
    fn number(&mut self, value: Scalar<'_>) -> Result<u32, Refusal> {
        match (&mut self.values, value) {
            (Values::Text { numbers, last }, Scalar::Text(text)) if !text.is_empty() => {
                if let Some(Some(known)) = self.texts.get(*last as usize)
                    && known.as_bytes() == text
                {
                    return Ok(*last);
                }
                if let Some(&number) = numbers.get(text) {
                    *last = number;
                    return Ok(number);
                }
                self.add_text(text)
            }
            (Values::Integer { numbers, .. }, Scalar::Int(value)) => match numbers.get(&value) {
                Some(&number) => Ok(number),
                None => Ok(self.add_integer(value)),
            },
            (
                Values::Clock {
                    calendar,
                    numbers,
                    last,
                },
                Scalar::Int(value),
            ) => {
                let Some(bucket) = calendar.bucket(value) else {
                    return Err(Refusal {
                        column: self.column,
                        detail: "a partition needs a date between the years 1 and 9999".into(),
                    });
                };
                if let Some((known, number)) = last
                    && *known == bucket
                {
                    return Ok(*number);
                }
                if let Some(&number) = numbers.get(&bucket) {
                    *last = Some((bucket, number));
                    return Ok(number);
                }
                Ok(self.add_bucket(bucket))
            }
            _ => Ok(self.null_number()),
        }
    }

    #[cold]
    fn null_number(&mut self) -> u32 {
        if let Some(number) = self.null {
            return number;
        }
        let number = push(&mut self.texts, None);
        self.null = Some(number);
        number
    }

    #[cold]
    fn add_text(&mut self, bytes: &[u8]) -> Result<u32, Refusal> {
        let text = String::from_utf8_lossy(bytes);
        let length = hive::component(&self.name, Some(&text)).len();
        if length > hive::MAX_COMPONENT_BYTES {
            let limit = hive::MAX_COMPONENT_BYTES;
            return Err(too_long(self.column, length, limit, "folder name"));
        }
        let number = push(&mut self.texts, Some(text.into_owned()));
        if let Values::Text { numbers, last } = &mut self.values {
            numbers.insert(bytes.into(), number);
            *last = number;
        }
        Ok(number)
    }

    #[cold]
    fn add_integer(&mut self, value: i64) -> u32 {
        let Values::Integer {
            is_boolean,
            numbers,
        } = &mut self.values
        else {
            return self.null_number();
        };
        let text = if *is_boolean {
            (value != 0).to_string()
        } else {
            value.to_string()
        };
        let number = push(&mut self.texts, Some(text));
        numbers.insert(value, number);
        number
    }

    #[cold]
    fn add_bucket(&mut self, bucket: Bucket) -> u32 {
        let Values::Clock {
            calendar,
            numbers,
            last,
        } = &mut self.values
        else {
            return self.null_number();
        };
        let number = push(&mut self.texts, Some(calendar.text(bucket)));
        numbers.insert(bucket, number);
        *last = Some((bucket, number));
        number
    }
}

fn push(texts: &mut Vec<Option<String>>, text: Option<String>) -> u32 {
    let number = u32::try_from(texts.len()).expect("memory ends before four thousand million");
    texts.push(text);
    number
}

fn too_long(column: usize, length: usize, limit: usize, what: &str) -> Refusal {
    Refusal {
        column,
        detail: format!("escaped, the partition's {what} has {length} bytes, at most {limit} fit"),
    }
}

impl Values {
    fn new(kind: &Kind, transform: Transform, spec: &Spec) -> Self {
        match (kind, transform) {
            (Kind::String | Kind::Enum(_) | Kind::Uuid { .. }, _) => Self::Text {
                numbers: HashMap::new(),
                last: 0,
            },
            (Kind::Boolean | Kind::Int | Kind::Long, _) => Self::Integer {
                is_boolean: *kind == Kind::Boolean,
                numbers: HashMap::new(),
            },
            _ => Self::Clock {
                calendar: Box::new(Calendar::new(kind, transform, spec.time_zone)),
                numbers: HashMap::new(),
                last: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::Column;

    fn column(name: &str, kind: Kind) -> Column {
        Column {
            name: name.into(),
            kind,
            nullable: true,
            null_branch: 0,
            default: None,
        }
    }

    fn router(entries: &[&str]) -> Router {
        let columns = vec![
            column("sold_at", Kind::TimestampMicros),
            column("region", Kind::String),
            column("store", Kind::Long),
            column("online", Kind::Boolean),
        ];
        let schema = Schema::new("Sale", columns);
        let entries: Vec<String> = entries.iter().map(|&entry| entry.into()).collect();
        let spec = Spec::parse(&entries, &schema, "UTC").expect("a valid spec");
        Router::new(&spec, &schema)
    }

    fn route(router: &mut Router, row: &[Scalar<'_>]) -> Result<String, Refusal> {
        let id = router.route(|column| row[column])?;
        Ok(router.partitions()[id as usize].path.clone())
    }

    const JANUARY_31: i64 = 1_769_817_600_000_000;

    #[test]
    fn rows_of_one_folder_share_an_id() {
        // GIVEN rows of two days and two regions, mixed.
        let mut router = router(&["date(sold_at)", "region"]);
        let days = [0, 1, 0, 1, 0].map(|day| Scalar::Int(JANUARY_31 + day * 86_400_000_000));
        let regions = ["Île-de-France", "Île-de-France", "Côte d'Or", "Côte d'Or"];
        // WHEN they are routed, twice THEN each pair of day and region has one id, in order of
        // the first row.
        for _ in 0..2 {
            let ids: Vec<u32> = days
                .iter()
                .zip(regions)
                .map(|(&day, region)| {
                    router
                        .route(|column| [day, Scalar::Text(region.as_bytes())][column])
                        .expect("a folder")
                })
                .collect();
            assert_eq!(ids, [0, 1, 2, 3]);
        }
        let paths: Vec<_> = router
            .partitions()
            .iter()
            .map(|p| p.path.as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "date=2026-01-31/region=Île-de-France",
                "date=2026-02-01/region=Île-de-France",
                "date=2026-01-31/region=Côte d%27Or",
                "date=2026-02-01/region=Côte d%27Or",
            ]
        );
    }

    #[test]
    fn null_and_empty_are_one_folder() {
        let mut router = router(&["region"]);
        let null = route(&mut router, &[Scalar::Null, Scalar::Null]);
        let empty = route(&mut router, &[Scalar::Null, Scalar::Text(b"")]);
        assert_eq!(null, Ok("region=__HIVE_DEFAULT_PARTITION__".into()));
        assert_eq!(null, empty);
        assert_eq!(router.partitions().len(), 1);
        assert_eq!(router.partitions()[0].values, [("region".to_owned(), None)]);
    }

    #[test]
    fn integers_and_booleans_are_written_plainly() {
        let mut router = router(&["store", "online"]);
        let row = [Scalar::Null, Scalar::Null, Scalar::Int(-7), Scalar::Int(1)];
        assert_eq!(route(&mut router, &row), Ok("store=-7/online=true".into()));
    }

    #[test]
    fn a_table_without_a_spec_is_one_partition() {
        let mut router = router(&[]);
        for _ in 0..2 {
            assert_eq!(route(&mut router, &[]), Ok(String::new()));
        }
        assert_eq!(router.partitions().len(), 1);
    }

    #[test]
    fn what_cannot_be_a_folder_is_refused_every_time() {
        // GIVEN text that is one byte too long as a name, and a timestamp of the year 58,000.
        let mut router = router(&["date(sold_at)", "region"]);
        let fits = "x".repeat(255 - "region=".len());
        let long = fits.clone() + "x";
        let day = Scalar::Int(JANUARY_31);
        // WHEN such rows are routed, repeatedly THEN they are refused, others are not.
        for _ in 0..2 {
            let refusal =
                route(&mut router, &[day, Scalar::Text(long.as_bytes())]).expect_err("too long");
            assert_eq!(refusal.column, 1);
            assert!(refusal.detail.contains("256 bytes"), "{}", refusal.detail);
            assert!(route(&mut router, &[day, Scalar::Text(fits.as_bytes())]).is_ok());
            let refusal = route(
                &mut router,
                &[Scalar::Int(JANUARY_31 * 1_000), Scalar::Text(b"x")],
            )
            .expect_err("no such year");
            assert_eq!(refusal.column, 0);
        }
        assert_eq!(router.partitions().len(), 1);
    }

    #[test]
    fn a_path_of_many_long_values_is_refused() {
        // GIVEN values that fit one by one, four of them together longer than a key may be.
        let long = "y".repeat(200);
        let columns = ["a", "b", "c", "d"].map(|name| column(name, Kind::String));
        let schema = Schema::new("Wide", columns.into());
        let entries = ["a", "b", "c", "d"].map(String::from);
        let spec = Spec::parse(&entries, &schema, "UTC").expect("a valid spec");
        let mut router = Router::new(&spec, &schema);
        // WHEN routed, twice THEN refused, naming the column that went too far.
        for _ in 0..2 {
            let refusal = router
                .route(|_| Scalar::Text(long.as_bytes()))
                .expect_err("too long together");
            assert_eq!(refusal.column, 3);
        }
    }

    proptest! {
        #[test]
        fn a_path_reads_back_as_the_values(
            rows in prop::collection::vec(
                (any::<Option<i64>>(), any::<Option<String>>(), -2i64..2, any::<bool>()), 1..40),
        ) {
            // GIVEN any values WHEN routed THEN the path's components are the partition's values,
            // and those are the row's.
            let mut router = router(&["region", "store", "online", "year(sold_at)"]);
            for (at, region, store, online) in rows {
                let row = [
                    at.map_or(Scalar::Null, |at| Scalar::Int(at % (i64::MAX / 40))),
                    region.as_ref().map_or(Scalar::Null, |text| Scalar::Text(text.as_bytes())),
                    Scalar::Int(store),
                    Scalar::Int(i64::from(online)),
                ];
                let Ok(id) = router.route(|column| row[column]) else { continue };
                let partition = &router.partitions()[id as usize];
                let parsed: Option<Vec<_>> =
                    partition.path.split('/').map(hive::parse_component).collect();
                prop_assert_eq!(parsed.as_ref(), Some(&partition.values));
                let region = region.filter(|text| !text.is_empty());
                prop_assert_eq!(&partition.values[0].1, &region);
                prop_assert_eq!(&partition.values[1].1, &Some(store.to_string()));
                prop_assert_eq!(&partition.values[2].1, &Some(online.to_string()));
                prop_assert_eq!(partition.values[3].1.is_none(), at.is_none());
            }
        }
    }
}
