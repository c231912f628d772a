//! What is seen, as a file: `/api/download/{table}.{csv|parquet}` with a view's query.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

use super::App;
use super::answers::Refusal;
use super::table::{Column, Table};
use crate::cube::Sums;
use crate::error_chain::ErrorChain;
use crate::figures::{Analysis, Foretold, Named, Point, Scales, Spreads, View};

/// Sales of one download; more are to be narrowed, or read page by page.
const MOST_SALES: usize = 200_000;

/// Sales asked for at once.
const PAGE: u32 = 5_000;

/// Tables of what is computed from sales one by one.
const ANALYSED: [&str; 3] = ["statistics-regions", "statistics-products", "forecast"];

pub(super) async fn download(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let view = app.view(query.as_deref(), &[])?;
    let (name, format) = file.rsplit_once('.').unwrap_or((&file, ""));
    let table = app.table(name, view).await?;
    let (kind, bytes) = match format {
        "csv" => ("text/csv; charset=utf-8", table.csv()),
        "parquet" => ("application/vnd.apache.parquet", table.parquet()),
        _ => {
            return Err(Refusal(
                StatusCode::NOT_FOUND,
                "download csv or parquet".into(),
            ));
        }
    };
    let bytes = bytes.map_err(|error| {
        tracing::warn!(error = %ErrorChain(&error), "a download failed");
        Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the table cannot be written".into(),
        )
    })?;
    let attached = format!("attachment; filename=\"{file}\"");
    Ok((
        [
            (header::CONTENT_TYPE, kind.to_owned()),
            (header::CONTENT_DISPOSITION, attached),
        ],
        bytes,
    )
        .into_response())
}

impl App {
    async fn table(&self, name: &str, view: View) -> Result<Table, Refusal> {
        if name == "sales" {
            return self.sales_table(view).await;
        }
        if ANALYSED.contains(&name) {
            let analysis = self.loaded_analysis(&view).await?;
            return analysed(name, &analysis, self.scales);
        }
        if !["over-time", "regions", "products", "categories"].contains(&name) {
            let known = "download over-time, regions, products, categories, statistics-regions, \
                         statistics-products, forecast or sales";
            return Err(Refusal(StatusCode::NOT_FOUND, known.into()));
        }
        let figures = self.loaded_figures(&view).await?;
        Ok(match name {
            "over-time" => over_time(&figures.over_time, self.scales),
            "regions" => named("region", &figures.by_region, self.scales),
            "products" => named("product", &figures.by_product, self.scales),
            _ => named("category", &figures.by_category, self.scales),
        })
    }

    async fn sales_table(&self, view: View) -> Result<Table, Refusal> {
        let query = self.sales_query(view);
        let (mut sales, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.mirror.sales(&query, cursor.as_ref(), PAGE).await?;
            sales.extend(page.sales);
            if sales.len() > MOST_SALES {
                let remedy = "more than 200000 sales; narrow the period or the filters, or read /api/sales page by page";
                return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, remedy.into()));
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let names = self.mirror.columns();
        let [.., time, _, _, _, quantity, amount] = names.as_slice() else {
            return Ok(Table::default());
        };
        let column = |name: &String| match name {
            name if name == time => moments(&sales, name),
            name if name == quantity => numbers(&sales, name, self.scales.quantity),
            name if name == amount => numbers(&sales, name, self.scales.amount),
            name => Column::Text(
                texts(&sales, name)
                    .map(|text| text.map(str::to_owned))
                    .collect(),
            ),
        };
        Ok(Table(
            names
                .iter()
                .map(|name| (name.clone(), column(name)))
                .collect(),
        ))
    }
}

fn texts<'a>(
    sales: &'a [Map<String, Value>],
    name: &'a str,
) -> impl Iterator<Item = Option<&'a str>> {
    sales
        .iter()
        .map(move |sale| sale.get(name).and_then(Value::as_str))
}

fn moments(sales: &[Map<String, Value>], name: &str) -> Column {
    let moment = |text: &str| {
        Some(
            chrono::DateTime::parse_from_rfc3339(text)
                .ok()?
                .timestamp_millis(),
        )
    };
    Column::Moment(
        texts(sales, name)
            .map(|text| text.and_then(moment))
            .collect(),
    )
}

/// Numbers whose texts have the scale's digits already; one with more is left out as null.
fn numbers(sales: &[Map<String, Value>], name: &str, scale: u32) -> Column {
    let places = scale as usize;
    let number = |text: &str| {
        let digits = text
            .split_once('.')
            .map_or(0, |(_, fraction)| fraction.len());
        (digits == places)
            .then(|| text.replace('.', "").parse().ok())
            .flatten()
    };
    Column::Number(
        texts(sales, name)
            .map(|text| text.and_then(number))
            .collect(),
        scale,
    )
}

fn over_time(points: &[Point], scales: Scales) -> Table {
    let start = |point: &Point| {
        let moment = chrono::DateTime::parse_from_rfc3339(&point.start).ok()?;
        Some(moment.timestamp_millis())
    };
    let sums: Vec<Sums> = points.iter().map(Point::exact).collect();
    let starts = Column::Moment(points.iter().map(start).collect());
    with_sums("start", starts, &sums, scales)
}

fn named(column: &str, rows: &[Named], scales: Scales) -> Table {
    let sums: Vec<Sums> = rows.iter().map(Named::exact).collect();
    let names = Column::Text(rows.iter().map(|row| Some(row.name.clone())).collect());
    with_sums(column, names, &sums, scales)
}

fn with_sums(name: &str, first: Column, sums: &[Sums], scales: Scales) -> Table {
    let counts = sums.iter().map(|sums| sums.count).collect();
    let amounts = sums.iter().map(|sums| Some(sums.amount)).collect();
    let quantities = sums.iter().map(|sums| Some(sums.quantity)).collect();
    Table(vec![
        (name.to_owned(), first),
        ("count".to_owned(), Column::Count(counts)),
        ("amount".to_owned(), Column::Number(amounts, scales.amount)),
        (
            "quantity".to_owned(),
            Column::Number(quantities, scales.quantity),
        ),
    ])
}

fn analysed(name: &str, analysis: &Analysis, scales: Scales) -> Result<Table, Refusal> {
    if name == "forecast" {
        return Ok(forecast(&analysis.forecast.steps, scales));
    }
    let statistics = analysis.statistics.as_ref().ok_or_else(|| {
        let why = "sales are not read for statistics; set `analysis.days`";
        Refusal(StatusCode::NOT_FOUND, why.into())
    })?;
    Ok(if name == "statistics-regions" {
        spreads("region", &statistics.by_region, scales)
    } else {
        spreads("product", &statistics.by_product, scales)
    })
}

fn spreads(name: &str, rows: &[Spreads], scales: Scales) -> Table {
    let exact = || rows.iter().map(|row| row.spread.exact());
    let column = |name: &str, column| (name.to_owned(), column);
    Table(vec![
        column(
            name,
            Column::Text(rows.iter().map(|row| Some(row.name.clone())).collect()),
        ),
        column(
            "count",
            Column::Count(rows.iter().map(|row| row.spread.count).collect()),
        ),
        column(
            "amount",
            Column::Number(exact().map(|(sum, _)| Some(sum)).collect(), scales.amount),
        ),
        column(
            "mean",
            Column::Number(exact().map(|(_, mean)| mean).collect(), scales.amount),
        ),
        column(
            "deviation",
            Column::Real(rows.iter().map(|row| row.spread.deviation).collect()),
        ),
    ])
}

fn forecast(steps: &[Foretold], scales: Scales) -> Table {
    let start = |step: &Foretold| Some(step.exact().0 * 60_000);
    let mut columns = vec![(
        "start".to_owned(),
        Column::Moment(steps.iter().map(start).collect()),
    )];
    for (at, name) in ["amount", "low", "high"].into_iter().enumerate() {
        let values = steps.iter().map(|step| Some(step.exact().1[at])).collect();
        columns.push((name.to_owned(), Column::Number(values, scales.amount)));
    }
    Table(columns)
}
