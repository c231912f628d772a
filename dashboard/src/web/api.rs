//! The endpoints that answer with JSON; described by `openapi.json`, which tests hold against them.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

use super::App;
use super::answers::{self, Refusal};
use crate::feed::State as FeedState;
use crate::figures::{Analysis, Figures, View};
use crate::mirror::{Cursor, SalesQuery};

const OPENAPI: &str = include_str!("../../openapi.json");

/// Sales of a page, unless asked otherwise.
const PAGE_OF: u32 = 100;

/// Sales of a page at most.
const PAGE_AT_MOST: u32 = 1_000;

type Shared = State<Arc<App>>;
type Answer = Result<Response, Refusal>;

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub(super) async fn page(State(app): Shared) -> Response {
    answers::json(&json!({
        "title": app.page.title,
        "currency": app.page.currency,
        "time_zone": app.page.time_zone,
        "amount_digits": app.scales.amount,
        "quantity_digits": app.scales.quantity,
    }))
}

pub(super) async fn status(State(app): Shared) -> Response {
    answers::json(&app.shared.status.freshness(&*app.shared.clock))
}

/// 200 while the figures are live; 503 with the reason while they are not.
pub(super) async fn healthz(State(app): Shared) -> Response {
    let freshness = app.shared.status.freshness(&*app.shared.clock);
    match freshness.state {
        FeedState::Live => "live\n".into_response(),
        FeedState::Loading => (StatusCode::SERVICE_UNAVAILABLE, "loading\n").into_response(),
        FeedState::Stale => (StatusCode::SERVICE_UNAVAILABLE, "stale\n").into_response(),
    }
}

#[derive(Serialize)]
struct Choices {
    regions: Vec<String>,
    products: Vec<String>,
    categories: Vec<String>,
}

pub(super) async fn choices(State(app): Shared) -> Answer {
    let cube = app.shared.cube();
    let groups = &cube.groups;
    let sorted = |names: Vec<&str>| {
        let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    };
    Ok(answers::json(&Choices {
        regions: sorted(groups.list().iter().map(|group| &*group.region).collect()),
        products: sorted(groups.list().iter().map(|group| &*group.product).collect()),
        categories: sorted(
            groups
                .list()
                .iter()
                .map(|group| groups.category(group))
                .collect(),
        ),
    }))
}

impl App {
    /// The view of a query, with parameters of the endpoint's own left out.
    pub(super) fn view(&self, query: Option<&str>, own: &[&str]) -> Result<View, Refusal> {
        Ok(View::parse(
            query.unwrap_or_default(),
            self.shared.calendar,
            own,
        )?)
    }

    /// The figures of a view, once they are loaded.
    pub(super) async fn loaded_figures(&self, view: &View) -> Result<Figures, Refusal> {
        if !self.shared.status.has_loaded() {
            let why = "the figures are being loaded";
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, why.into()));
        }
        Ok(self.figurer.figures(view).await?)
    }

    /// The analysis of a view, once its figures are loaded.
    pub(super) async fn loaded_analysis(&self, view: &View) -> Result<Analysis, Refusal> {
        let figures = self.loaded_figures(view).await?;
        Ok(self.figurer.analysis(view, &figures))
    }

    /// The sales of a view.
    pub(super) fn sales_query(&self, view: View) -> SalesQuery {
        let range = view.period.range(self.shared.calendar, self.shared.now());
        SalesQuery {
            from: range.map(|(from, _)| from),
            to: range.map(|(_, to)| to),
            regions: view.regions.into_iter().collect(),
            products: view.products.into_iter().collect(),
            categories: view.categories.into_iter().collect(),
        }
    }
}

async fn part(
    app: &App,
    query: Option<String>,
    part: impl Fn(&Figures) -> serde_json::Value,
) -> Answer {
    let figures = app
        .loaded_figures(&app.view(query.as_deref(), &[])?)
        .await?;
    let mut answer = part(&figures);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("period".into(), json!(figures.period));
        fields.insert("version".into(), json!(figures.version));
        fields.insert("complete".into(), json!(figures.complete));
    }
    Ok(answers::json(&answer))
}

pub(super) async fn figures(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    let figures = app
        .loaded_figures(&app.view(query.as_deref(), &[])?)
        .await?;
    Ok(answers::json(&figures))
}

pub(super) async fn totals(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    part(&app, query, |figures| json!({ "totals": figures.totals })).await
}

pub(super) async fn over_time(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    part(
        &app,
        query,
        |figures| json!({ "over_time": figures.over_time }),
    )
    .await
}

pub(super) async fn by_region(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    part(
        &app,
        query,
        |figures| json!({ "by_region": figures.by_region }),
    )
    .await
}

pub(super) async fn by_product(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    part(
        &app,
        query,
        |figures| json!({ "by_product": figures.by_product }),
    )
    .await
}

pub(super) async fn by_category(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    part(
        &app,
        query,
        |figures| json!({ "by_category": figures.by_category }),
    )
    .await
}

async fn analysis_part(
    app: &App,
    query: Option<String>,
    part: impl Fn(&Analysis) -> serde_json::Value,
) -> Answer {
    let view = app.view(query.as_deref(), &[])?;
    let analysis = app.loaded_analysis(&view).await?;
    let mut answer = part(&analysis);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("period".into(), json!(analysis.period));
    }
    Ok(answers::json(&answer))
}

pub(super) async fn analysis(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    let view = app.view(query.as_deref(), &[])?;
    Ok(answers::json(&app.loaded_analysis(&view).await?))
}

pub(super) async fn statistics(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    analysis_part(
        &app,
        query,
        |analysis| json!({ "statistics": analysis.statistics }),
    )
    .await
}

pub(super) async fn customers(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    analysis_part(
        &app,
        query,
        |analysis| json!({ "customers": analysis.customers }),
    )
    .await
}

pub(super) async fn forecast(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    analysis_part(
        &app,
        query,
        |analysis| json!({ "forecast": analysis.forecast }),
    )
    .await
}

pub(super) async fn sales(State(app): Shared, RawQuery(query): RawQuery) -> Answer {
    let view = app.view(query.as_deref(), &["limit", "cursor"])?;
    let refused = |what: &str| Refusal(StatusCode::BAD_REQUEST, what.into());
    let (mut limit, mut cursor) = (PAGE_OF, None);
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_AT_MOST).contains(limit))
                    .ok_or_else(|| refused("`limit` is not between 1 and 1000"))?;
            }
            "cursor" => {
                cursor = Some(
                    Cursor::parse(&value)
                        .ok_or_else(|| refused("`cursor` is none that this API has given"))?,
                );
            }
            _ => {}
        }
    }
    let page = app
        .mirror
        .sales(&app.sales_query(view), cursor.as_ref(), limit)
        .await?;
    Ok(answers::json(&json!({
        "sales": page.sales,
        "next": page.next.map(|next| next.text()),
    })))
}
