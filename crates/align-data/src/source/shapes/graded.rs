//! Rows in which answers have grades: the order is that of the grades, and of answers with equal grades one is kept.

use serde_json::{Map, Value};

use crate::error::Result;
use crate::record::{Message, Text};
use crate::source::columns::describe;
use crate::source::reply::{self, Replies};
use crate::source::rows::Row;

/// The column of rows that [`Grouped`] has put together.
pub(super) const GROUP: &str = "responses with equal prompts";

/// `completions` with a `response` and ratings, as UltraFeedback has them: the grade is the mean of the ratings of its aspects,
/// for `overall_score` is known to be wrong in places.
pub(super) fn completions(row: &mut Row) -> Result<Replies> {
    let graded = items(row, "completions", "response", |item| {
        let aspects = item.get("annotations").and_then(Value::as_object);
        let ratings = aspects.into_iter().flat_map(|aspects| aspects.values());
        let rating = |aspect: &Value| number(aspect.get("Rating").or_else(|| aspect.get("rating"))?);
        let ratings: Vec<f64> = ratings.filter_map(rating).collect();
        let mean = (!ratings.is_empty()).then(|| ratings.iter().sum::<f64>() / ratings.len() as f64);
        let single = ["fine-grained_score", "overall_score", "score", "rating"];
        mean.or_else(|| single.iter().find_map(|name| number(item.get(*name)?)))
    })?;
    ranked(row, graded)
}

/// `generations` and their `ratings`, as distilabel writes them.
pub(super) fn generations(row: &mut Row) -> Result<Replies> {
    let (texts, ratings) = (row.texts("generations")?, row.list("ratings")?);
    if texts.len() != ratings.len() {
        let found = format!("{} for {} generations", ratings.len(), texts.len());
        return Err(row.wrong("ratings", "a rating of each generation", found));
    }
    let grades = ratings
        .iter()
        .enumerate()
        .map(|(index, rating)| grade(row, "ratings", index, number(rating), rating));
    let grades = grades.collect::<Result<Vec<_>>>()?;
    ranked(row, texts.into_iter().zip(grades).collect())
}

/// `answers` with a `rank`, 1 the best, as Nectar has them; the prompt is a transcript.
pub(super) fn ranks(row: &mut Row) -> Result<Replies> {
    read_transcript(row);
    let graded = items(row, "answers", "answer", |item| number(item.get("rank")?).map(|rank| -rank))?;
    ranked(row, graded)
}

/// Makes turns of the transcript that stands for the prompt beside ranked answers.
pub(super) fn read_transcript(row: &mut Row) {
    let turns = row.columns.get("prompt").and_then(Value::as_str).and_then(transcript);
    let Some(turns) = turns.filter(|_| super::has(row, "answers[].rank")) else { return };
    let turns =
        turns.into_iter().map(|turn| serde_json::json!({ "role": turn.role, "content": turn.content }));
    row.columns.insert("prompt".to_owned(), turns.collect());
}

/// What [`Grouped`] has put together.
pub(super) fn group(row: &mut Row) -> Result<Replies> {
    let graded = items(row, GROUP, "response", |item| number(item.get("grade")?))?;
    row.used.retain(|column| column != GROUP);
    row.used.extend(["response", "helpfulness"].map(str::to_owned));
    ranked(row, graded)
}

/// The turns of a transcript with `Human:` and `Assistant:` in front of each, up to where the assistant is to speak; none of
/// another text.
fn transcript(text: &str) -> Option<Vec<Message>> {
    let text = text.trim_end().strip_suffix("\n\nAssistant:")?;
    let mut turns = Vec::new();
    for part in text.split("\n\nHuman:").skip(1) {
        let mut replies = part.split("\n\nAssistant:");
        turns.push(Message::new("user", replies.next().unwrap_or_default().trim()));
        turns.extend(replies.map(|reply| Message::new("assistant", reply.trim())));
    }
    (text.starts_with("\n\nHuman:") && !turns.is_empty()).then_some(turns)
}

/// The answers in a list of objects, each with its grade.
fn items(
    row: &mut Row,
    column: &str,
    key: &str,
    of: impl Fn(&Map<String, Value>) -> Option<f64>,
) -> Result<Vec<((String, Text), f64)>> {
    let item = |row: &Row, index: usize, item: Value| {
        let Value::Object(mut item) = item else {
            return Err(row.wrong(
                format!("{column}[{index}]"),
                format!("an object with `{key}`"),
                describe(&item),
            ));
        };
        let field = format!("{column}[{index}].{key}");
        let answer = row.text_of(&field, item.remove(key).unwrap_or_default())?;
        row.refuse_empty(&field, &answer)?;
        let grade = grade(row, column, index, of(&item), &Value::Object(item))?;
        Ok(((field, answer), grade))
    };
    let values = row.list(column)?;
    values.into_iter().enumerate().map(|(index, value)| item(row, index, value)).collect()
}

fn grade(row: &Row, column: &str, index: usize, grade: Option<f64>, found: &Value) -> Result<f64> {
    grade.filter(|grade| grade.is_finite()).ok_or_else(|| {
        let found = match found {
            Value::Object(_) => format!("none in {}", describe(found)),
            other => describe(other),
        };
        row.wrong(format!("{column}[{index}]"), "a grade of the answer, a number", found)
    })
}

/// A number, or one as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The answers by their grades, the highest first, one of each grade.
fn ranked(row: &mut Row, mut graded: Vec<((String, Text), f64)>) -> Result<Replies> {
    graded.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let kept = if row.takes_ties { graded.len() } else { 0 };
    graded.dedup_by(|(_, a), (_, b)| kept == 0 && a == b);
    if graded.len() < 2 {
        row.tie("all answers have the same grade")?;
    }
    reply::turns(row, graded.into_iter().map(|(answer, _)| answer).collect())
}

/// Rows of which those that stand together and have equal prompts are one, as HelpSteer 2 has its responses.
pub(in super::super) struct Grouped<I> {
    rows: I,
    /// The first row of the next group.
    next: Option<Row>,
}

impl<I> Grouped<I> {
    pub(in super::super) fn new(rows: I) -> Self {
        Self { rows, next: None }
    }
}

/// The columns of a response with a grade.
const RESPONSE: [&str; 3] = ["prompt", "response", "helpfulness"];

impl<I: Iterator<Item = Result<Row>>> Iterator for Grouped<I> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut first = match self.next.take() {
            Some(row) => row,
            None => match self.rows.next()? {
                Ok(row) => row,
                Err(error) => return Some(Err(error)),
            },
        };
        if !RESPONSE.iter().all(|column| first.has(column)) || first.has("chosen") {
            return Some(Ok(first));
        }
        let mut responses = vec![response(&mut first)];
        for row in self.rows.by_ref() {
            match row {
                Ok(mut row) if row.has("response") && asks_the_same(&row, &first) => {
                    responses.push(response(&mut row));
                    first.count += 1;
                }
                Ok(row) => {
                    self.next = Some(row);
                    break;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        first.columns.insert(GROUP.to_owned(), Value::Array(responses));
        Some(Ok(first))
    }
}

/// Whether two rows ask the same, in the same setting.
fn asks_the_same(row: &Row, other: &Row) -> bool {
    let settings = ["prompt", "system", "system_prompt", "history", "tools", "chat_template_kwargs"];
    let value = |row: &Row, column: &str| row.columns.get(column).filter(|value| !value.is_null()).cloned();
    settings.into_iter().all(|column| value(row, column) == value(other, column))
}

fn response(row: &mut Row) -> Value {
    let mut take = |column: &str| row.columns.get_mut(column).map(Value::take).unwrap_or_default();
    serde_json::json!({ "response": take("response"), "grade": take("helpfulness") })
}
